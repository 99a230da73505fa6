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
        self.exceeded |= fails
        verdict = "EXCEEDED" if fails else "ok"
        if fails and not self.judged:
            verdict += " (not judged at this size)"
        return f"at most {bound:g}{unit}: {verdict}"

    @property
    def exit_code(self) -> int:
        return int(self.judged and self.exceeded)
