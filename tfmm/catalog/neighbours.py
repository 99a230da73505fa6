"""Exact nearest neighbours over quantised vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfmm.catalog.quantise import VectorTable


def nearest(tables: Sequence[VectorTable], row: int, k: int) -> list[tuple[int, float]]:
    """The k rows of largest mean cosine with one row, best first, ties by row.

    The mean goes over the tables in which both rows are present; a missing vector is no
    similarity of 0.

    Args:
        tables: tables in which the row is present, all of the same length.
        row: the row to compare with; it is not its own neighbour.
        k: how many at most.

    Example:
        >>> from tfmm.catalog.quantise import quantise
        >>> nearest([quantise([[1, 0], [1, 0], [0, 0], [0, 1]])], row=0, k=9)
        [(1, 1.0), (3, 0.0)]
    """
    shared = np.sum([table.present for table in tables], axis=0)
    total = np.sum([table.cosines(row) for table in tables], axis=0)
    means = np.where(shared > 0, total / np.maximum(shared, 1), -np.inf)
    means[row] = -np.inf
    return [(int(i), float(means[i])) for i in _top(means, k)]


def _top(scores: NDArray[np.floating], k: int) -> NDArray[np.intp]:
    k = min(k, int(np.isfinite(scores).sum()))
    if k <= 0:
        return np.empty(0, np.intp)
    threshold = np.partition(scores, -k)[-k]
    candidates = np.flatnonzero(scores >= threshold)
    order = np.lexsort((candidates, -scores[candidates]))
    return candidates[order][:k]
