"""Exact ranks of answers among all candidates, and the accuracies that they give."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from tfmm.errors import TfmmError

# Queries and candidates compared at once: 40 MB, large enough for fast products.
CHUNK = (1024, 8192)


def answer_ranks(
    queries: ArrayLike,
    candidates: ArrayLike,
    answers: ArrayLike,
    ids: ArrayLike | None = None,
    tolerance: float = 1e-6,
    chunk: tuple[int, int] = CHUNK,
) -> np.ndarray:
    """The rank of every query's answers among all candidates; 1 is the nearest.

    Candidates of one id are one candidate, which is as near as the nearest of its
    vectors: so an item that is listed twice counts once, and with groups of
    interchangeable items as ids a query is answered by any item of its group.
    Candidates as near as the answer share the mean of their ranks, so that a tower
    that maps everything to one point gains nothing. Exact, by products of float32
    chunks that are counted in place; memory does not grow with queries times
    candidates.

    Args:
        queries: float `[Q, d]`, L2-normalised.
        candidates: float `[C, d]`, L2-normalised.
        answers: int `[Q]` or `[Q, A]`, ids of the candidates that answer a query; -1
            fills. What a query lists twice counts once.
        ids: int `[C]`, not negative; by default 0, 1, ..., C - 1.
        tolerance: Similarities no further apart than this are ties (rounding).
        chunk: How many queries and candidates are compared at once.

    Returns:
        float64 `[Q, A]`, NaN where there is no answer.

    Raises:
        TfmmError: If shapes disagree, an answer is not among the candidates, or a
            vector is not finite.

    Example:
        >>> items = np.eye(3)
        >>> queries = [[1, 0, 0], [0, 0.6, 0.8]]
        >>> answer_ranks(queries, items, [[0, -1], [1, 2]]).tolist()
        [[1.0, nan], [2.0, 1.0]]
        >>> answer_ranks(queries, items, [0, 1], ids=[0, 1, 1]).tolist()
        [[1.0], [1.0]]
    """
    queries, candidates = _vectors(queries, "queries"), _vectors(candidates, "items")
    ids = np.arange(len(candidates)) if ids is None else np.asarray(ids)
    answers = np.asarray(answers)
    answers = answers[:, None] if answers.ndim == 1 else answers
    _check(queries, candidates, answers, ids, chunk)
    names, group = np.unique(ids, return_inverse=True)
    places = _places(answers, names)
    table = _Candidates(candidates, group, len(names))
    # Most answers first, so that the queries with an a-th answer are a leading block.
    widths = (places >= 0).sum(axis=1)
    order = np.argsort(-widths, kind="stable")
    ranks = np.full(places.shape, np.nan)
    for start in range(0, len(order), chunk[0]):
        rows = order[start : start + chunk[0]]
        ranks[rows] = _ranks(queries[rows], table, places[rows], tolerance, chunk[1])
    return ranks


def accuracy(ranks: np.ndarray, n: int) -> float:
    """Acc@N: share of the queries with an answer among the N nearest (eq. 6).

    `Acc@N = (1 / D) sum_i [p_i in Top_N(q_i, S)]`

    Args:
        ranks: float `[Q, A]`, as `answer_ranks` gives them.
        n: The N.

    Returns:
        NaN if there is no query.

    Example:
        >>> accuracy(np.array([[1.0, np.nan], [4.0, 2.0]]), n=1)
        0.5
    """
    return float(np.mean((ranks <= n).any(axis=1))) if len(ranks) else float("nan")


def recall(ranks: np.ndarray, n: int) -> float:
    """Recall@N: the share of a query's answers that is among the N nearest, averaged.

    Example:
        >>> recall(np.array([[1.0, np.nan], [4.0, 2.0]]), n=2)
        0.75
    """
    if not len(ranks):
        return float("nan")
    return float(np.mean((ranks <= n).sum(axis=1) / np.isfinite(ranks).sum(axis=1)))


class _Candidates:
    """Vectors by slot: one slot an id, the ids with most vectors first.

    Layer m holds the m-th vector of each slot that has so many, so that the nearest of
    a slot's vectors is a maximum of whole arrays.
    """

    def __init__(self, vectors: np.ndarray, place: np.ndarray, places: int) -> None:
        counts = np.bincount(place, minlength=places)
        by_size = np.argsort(-counts, kind="stable")
        self.slots = np.empty(places, np.int64)
        self.slots[by_size] = np.arange(places)
        self.counts = counts[by_size]
        order = np.argsort(self.slots[place], kind="stable")
        starts = np.cumsum(self.counts) - self.counts
        self.layers = [
            vectors[order[starts[: np.count_nonzero(self.counts > layer)] + layer]]
            for layer in range(int(np.max(counts, initial=0)))
        ]

    def scores(self, queries: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """float32 `[Q, c]` at a time, one column a slot."""
        slots = len(self.slots)
        for start in range(0, slots, size):
            nearest = queries @ self.layers[0][start : start + size].T
            for layer in self.layers[1:]:
                if not len(more := layer[start : start + size]):
                    break
                part = nearest[:, : len(more)]
                np.maximum(part, queries @ more.T, out=part)
            yield nearest

    def best(self, query: np.ndarray, place: int) -> float:
        """The similarity of a query and the nearest vector of a place."""
        slot = self.slots[place]
        layers = self.layers[: self.counts[slot]]
        return max(float(layer[slot] @ query) for layer in layers)


def _ranks(
    queries: np.ndarray,
    table: _Candidates,
    places: np.ndarray,
    tolerance: float,
    size: int,
) -> np.ndarray:
    there = places >= 0
    own = np.zeros(places.shape, np.float32)
    for row, answer in zip(*np.nonzero(there), strict=True):
        own[row, answer] = table.best(queries[row], places[row, answer])
    above, level = np.zeros((2, *places.shape), np.int64)
    flags = np.empty((len(queries), size), bool)
    low, high = own - np.float32(tolerance), own + np.float32(tolerance)
    blocks = there.sum(axis=0)
    for scores in table.scores(queries, size):
        for answer, rows in enumerate(blocks):
            part, seen = scores[:rows], flags[:rows, : scores.shape[1]]
            np.greater(part, high[:rows, answer, None], out=seen)
            above[:rows, answer] += np.count_nonzero(seen, axis=1)
            np.greater_equal(part, low[:rows, answer, None], out=seen)
            level[:rows, answer] += np.count_nonzero(seen, axis=1)
    level -= above
    return np.where(there, above + (np.maximum(level, 1) + 1) / 2, np.nan)


def _places(answers: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Places of the answers among the names, each once and at the front of a row."""
    there = answers >= 0
    found = np.minimum(np.searchsorted(names, answers), max(len(names) - 1, 0))
    unknown = there & (names[found] != answers) if len(names) else there
    if unknown.any():
        raise TfmmError(
            "Each query's item must be among the candidates. Received: item "
            f"{answers[unknown][0]} without a vector. Pass all items' vectors."
        )
    found = np.where(there, found, -1)
    if answers.shape[1] == 1:
        return found
    for row in range(len(found)):
        kept = list(dict.fromkeys(place for place in found[row] if place >= 0))
        found[row, : len(kept)], found[row, len(kept) :] = kept, -1
    return found


def _vectors(values: ArrayLike, what: str) -> np.ndarray:
    found = np.asarray(values, np.float32)
    if not np.isfinite(found).all():
        raise TfmmError(
            f"The vectors of the {what} must be finite numbers. Received: NaN or "
            "infinity. The towers diverged: train with a lower learning rate."
        )
    return found


def _check(
    queries: np.ndarray,
    candidates: np.ndarray,
    answers: np.ndarray,
    ids: np.ndarray,
    chunk: tuple[int, int],
) -> None:
    shapes = [np.shape(x) for x in (queries, answers, candidates, ids)]
    ok = (
        [len(shape) for shape in shapes] == [2, 2, 2, 1]
        and shapes[0][0] == shapes[1][0]
        and shapes[2][0] == shapes[3][0]
        and shapes[0][1] == shapes[2][1]
        and (not len(ids) or ids.min() >= 0)
        and bool((answers >= 0).any(axis=1).all())
        and min(chunk) >= 1
    )
    if not ok:
        raise TfmmError(
            "Expected query vectors [Q, d], at least one answer each [Q] or [Q, A], "
            "candidate vectors [C, d] and their ids [C], not negative. Received: "
            f"shapes {shapes}, chunk={chunk}. Give each vector its id."
        )
