"""Demanded bounds: what is found of them, and whether one is exceeded."""


class Bounds:
    """Says of figures whether they keep to what is demanded of them.

    Args:
        judged: Whether an exceeded bound is a failure; a smoke run only shows figures.
    """

    def __init__(self, judged: bool) -> None:
        self.judged = judged
        self.exceeded = False

    def check(self, value: float, bound: float, unit: str = "") -> str:
        """E.g. `at most 1.25: ok`."""
        fails = not value <= bound  # NaN fails too.
        return f"at most {bound:g}{unit}: {self._verdict(fails, 'EXCEEDED')}"

    def check_least(self, value: float, bound: float, unit: str = "") -> str:
        """E.g. `at least 1.5: ok`."""
        fails = not value >= bound
        return f"at least {bound:g}{unit}: {self._verdict(fails, 'MISSED')}"

    def _verdict(self, fails: bool, word: str) -> str:
        self.exceeded |= fails
        if not fails:
            return "ok"
        return word if self.judged else f"{word} (not judged at this size)"

    @property
    def exit_code(self) -> int:
        return int(self.judged and self.exceeded)
