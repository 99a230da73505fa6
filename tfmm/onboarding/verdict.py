"""What a trial's gain table means, in words."""

import dataclasses

from tfmm.evaluation.gain import GainTable

_ADVICE_COVERAGE = 0.8


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How far the vectors reach.

    Args:
        items: Items of the log with a vector.
        unknown_vectors: Vectors of items that the log does not know.
        candidates: Share of test candidates with a vector.
        history: Share of the test requests' history items with a vector.
    """

    items: int
    unknown_vectors: int
    candidates: float
    history: float


def verdict(table: GainTable, coverage: Coverage) -> str:
    """One sentence on the gain and one on how far the vectors reach.

    Args:
        table: The rows `id_only` and `simtier`.
        coverage: How far the vectors reach.
    """
    scores, gain = table["simtier"].all, table["simtier"].all_gain
    reach = (
        f"{coverage.candidates:.0%} of the test candidates and {coverage.history:.0%} "
        f"of the history items have vectors ({coverage.items:,} items of the log; "
        f"{coverage.unknown_vectors:,} vectors are of items it does not know). GAUC "
        f"rests on {scores.usable_share:.0%} of the test impressions."
    )
    return f"{_gain(gain.gauc, gain.gauc_error, gain.auc)} {reach}"


def _gain(gauc: float | None, error: float | None, auc: float | None) -> str:
    if gauc is None or error is None:
        if auc is None:
            return "The test has one class of the label alone: nothing can be said."
        return (
            f"No test user has both classes, so GAUC is undefined; AUC moves by "
            f"{auc:+.2f} points."
        )
    change = f"{gauc:+.2f} points of GAUC (standard error {error:.2f})"
    if abs(gauc) <= error:
        return (
            f"SimTier changes {change}: within one standard error, so this test cannot "
            "tell it from no gain."
        )
    sure = "more than two" if abs(gauc) > 2 * error else "between one and two"
    if gauc > 0:
        return f"SimTier adds {change}: {sure} standard errors above the ID-only model."
    return f"SimTier loses {change}: {sure} standard errors below the ID-only model."


def next_steps(table: GainTable, coverage: Coverage) -> list[str]:
    """What to do after a trial, most useful first.

    Args:
        table: The rows `id_only` and `simtier`.
        coverage: How far the vectors reach.
    """
    gain = table["simtier"].all_gain
    steps = []
    if min(coverage.candidates, coverage.history) < _ADVICE_COVERAGE:
        steps.append(
            "Give vectors for more items: SimTier sees only pairs where both the "
            "candidate and the history item have one."
        )
    if gain.gauc is not None and gain.gauc_error is not None:
        if abs(gain.gauc) <= 2 * gain.gauc_error:
            steps.append(
                "Try more days of impressions: the error shrinks with the number of "
                "users. It counts users alone; another --seed shows the training's own."
            )
        if gain.gauc <= gain.gauc_error:
            steps.append(
                "Look whether similar vectors mean similar taste: "
                "`Catalog.neighbours(item_id)` of a few items."
            )
    steps.append(
        "Write a schema of all your tables by `tfmm init`: item features, events and "
        "searches, from which the towers learn vectors of their own, and MAKE."
    )
    return steps
