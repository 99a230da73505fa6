"""Signs that a tower maps everything to one place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

# Pairs of vectors whose mean cosine is 0.995, so that all cosines print as 1.00, have
# a spread of sqrt(1 - 0.995).
COLLAPSED_STD = 0.07
# Half of one per cent of the items asked for ever come first.
COLLAPSED_DISTINCT = 0.005
_SAMPLE = 2048


@dataclass(frozen=True)
class Collapse:
    """Three numbers on the vectors of one task; the worse of its two sides.

    Attributes:
        std: Mean standard deviation per dimension times `sqrt(d)`: 1 when directions
            are spread evenly, 0 when all vectors are one. About `sqrt(1 - c)` with c
            the mean cosine of two vectors.
        uniformity: `log mean exp(-2 |x - y|^2)` over pairs of different rows (Wang and
            Isola, 2020): 0 when all vectors are one, about -3.9 when spread evenly.
        distinct: Different items that come first for some query, over the different
            items asked for; 1 is the most, near 0 when a few answer everything.
    """

    std: float
    uniformity: float
    distinct: float

    @property
    def collapsed(self) -> bool:
        """Whether the vectors are one point for practical purposes."""
        return self.std < COLLAPSED_STD or self.distinct < COLLAPSED_DISTINCT


def collapse(
    queries: ArrayLike,
    candidates: ArrayLike,
    answers: ArrayLike,
    seed: int = 7,
    sample: int = _SAMPLE,
) -> Collapse:
    """Measures a task's vectors on a bounded sample.

    Args:
        queries: float `[Q, d]`, L2-normalised.
        candidates: float `[C, d]`, L2-normalised, distinct items.
        answers: int `[Q]`, the place of each query's own candidate.
        seed: Of the sample.
        sample: So many queries and candidates at most; all candidates are searched.

    Returns:
        NaN where there are fewer than two queries or candidates.

    Reference:
        Wang, Isola, Understanding Contrastive Representation Learning through Alignment
        and Uniformity on the Hypersphere, ICML 2020.

    Example:
        >>> collapse(np.eye(4), np.eye(4), [0, 1, 2, 3]).distinct
        1.0
        >>> one = np.ones((4, 4)) / 2
        >>> collapse(one, one, [0, 1, 2, 3])
        Collapse(std=0.0, uniformity=0.0, distinct=0.25)
    """
    queries, candidates = np.asarray(queries), np.asarray(candidates)
    if min(len(queries), len(candidates)) < 2:
        return Collapse(float("nan"), float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    chosen = _some(len(queries), sample, random)
    sides = [queries[chosen], candidates[_some(len(candidates), sample, random)]]
    first = nearest_places(queries[chosen], candidates, 1)[:, 0]
    asked = len(np.unique(np.asarray(answers)[chosen]))
    return Collapse(
        min(relative_std(side) for side in sides),
        max(uniformity(side) for side in sides),
        min(1.0, len(np.unique(first)) / asked),
    )


def relative_std(vectors: np.ndarray) -> float:
    """Mean standard deviation of the dimensions of unit vectors, times `sqrt(d)`."""
    spread = np.std(np.asarray(vectors, np.float64), axis=0)
    return float(np.mean(spread) * np.sqrt(vectors.shape[1]))


def uniformity(vectors: np.ndarray) -> float:
    """`log mean exp(-2 |x - y|^2)` over all pairs of different rows.

    Args:
        vectors: float `[n, d]`, unit vectors, n at least 2.

    Example:
        >>> round(uniformity(np.array([[1.0, 0.0], [-1.0, 0.0]])), 6)
        -8.0
    """
    rows = np.asarray(vectors, np.float32)
    # |x - y|^2 = 2 - 2 x.y for unit vectors.
    closeness = np.exp(4.0 * (np.minimum(rows @ rows.T, 1.0) - 1.0), dtype=np.float64)
    n = len(rows)
    return float(np.log((closeness.sum() - np.trace(closeness)) / (n * (n - 1))))


def nearest_places(
    queries: np.ndarray, candidates: np.ndarray, n: int, tolerance: float = 1e-6
) -> np.ndarray:
    """The n nearest candidates of each query, best first, exact.

    Candidates as near as each other come in their own order, so that rounding chooses
    nothing.

    Args:
        queries: float `[Q, d]`.
        candidates: float `[C, d]`.
        n: How many; at most C are given.
        tolerance: Similarities that round to the same multiple of it are ties.

    Returns:
        int64 `[Q, min(n, C)]`.
    """
    n = min(n, len(candidates))
    table = np.asarray(candidates, np.float32).T
    found = np.empty((len(queries), n), np.int64)
    for start in range(0, len(queries), 128):
        part = np.asarray(queries[start : start + 128], np.float32)
        scores = np.rint((part @ table) / tolerance)
        if n == 1:
            found[start : start + 128, 0] = np.argmax(scores, axis=1)
            continue
        for row, values in enumerate(scores):
            least = np.partition(values, len(values) - n)[len(values) - n]
            near = np.flatnonzero(values >= least)
            found[start + row] = near[np.lexsort((near, -values[near]))][:n]
    return found


def warning(task: str, numbers: Collapse) -> str:
    """What a collapsed task means and what to do, one line."""
    return (
        f"Task {task!r} has collapsed: its vectors are nearly one point (std "
        f"{numbers.std:.3f} of 1, uniformity {numbers.uniformity:.2f} of about -3.9, "
        f"{numbers.distinct:.1%} of the items asked for ever come first), so no "
        "similarity means anything. Lower the learning rate, warm it up, raise the "
        "temperature or the batch size, and check that the pictures and titles differ."
    )


def _some(count: int, sample: int, random: np.random.Generator) -> np.ndarray:
    if count <= sample:
        return np.arange(count)
    return np.sort(random.choice(count, sample, replace=False))
