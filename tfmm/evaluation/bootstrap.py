"""Intervals of differences between scores, by drawing users with replacement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tfmm.evaluation.user_sums import UserSums

LEVEL = 0.95
_CELLS = 4_000_000  # weights at once: 32 MB
Interval = tuple[float, float]
Draws = Mapping[str, NDArray[np.float64]]


def user_draws(users: int, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each user is drawn: as many draws of a user as there are users.

    Args:
        users: number of users U.
        draws: number of resamples.
        seed: of the draws.

    Yields:
        float64 `[b, U]`, whose rows sum to U, until there were `draws` rows; no more at
        once than 32 MB, or a row.

    Example:
        >>> [chunk.sum(1).tolist() for chunk in user_draws(3, 2, seed=0)]
        [[3.0, 3.0]]
    """
    rng = np.random.default_rng(seed)
    size = max(1, min(draws, _CELLS // max(users, 1)))
    for start in range(0, draws, size):
        count = min(size, draws - start)
        drawn = rng.integers(0, users, (count, users))
        drawn += users * np.arange(count)[:, None]
        flat = np.bincount(drawn.ravel(), minlength=count * users)
        yield flat.reshape(count, users).astype(np.float64)


def resampled(lines: Sequence[UserSums], draws: int, seed: int) -> list[Draws]:
    """Every score's metrics in every resample, the same users for all of them.

    Args:
        lines: scores of the same rows.
        draws: number of resamples.
        seed: of the draws.

    Returns:
        For each score, metric -> float64 `[draws]`.
    """
    # One product for each: the last bit of a column depends on its place in a product.
    parts = [lines[0].counts, *(line.sums for line in lines)]
    total = [
        [weights @ part for part in parts]
        for weights in user_draws(len(parts[0]), draws, seed)
    ]
    counts, *sums = (np.concatenate(chunks) for chunks in zip(*total, strict=True))
    return [line.metrics(counts, mine) for line, mine in zip(lines, sums, strict=True)]


def interval(values: NDArray[np.float64]) -> Interval | None:
    """The middle 95 % of resampled values; `None` where none is defined.

    Example:
        >>> [round(bound, 6) for bound in interval(np.arange(101.0)) or ()]
        [2.5, 97.5]
    """
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
