"""Brings scores of the same impressions into the same order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfmm.errors import TfmmError
from tfmm.evaluation.columns import Columns

_KEYS = ("label", "item", "time", "user_key")


def aligned(reference: Columns, columns: Columns, name: str, exact: bool) -> Columns:
    """The rows of `columns` in the order of the reference's impressions.

    Args:
        reference: impressions in the order wanted.
        columns: the same impressions under another score, in any order.
        name: what the error message calls `columns`.
        exact: whether further impressions are refused, not left out.

    Raises:
        TfmmError: if impressions are missing, or there are others where none may be.

    Example:
        >>> a = Columns([7, 7], [2, 3], [0, 0], [0, 1], [0.1, 0.9], [0, 0])
        >>> aligned(a, a.select(np.array([1, 0])), "x", exact=True).item.tolist()
        [2, 3]
    """
    if all(np.array_equal(getattr(reference, k), getattr(columns, k)) for k in _KEYS):
        return columns
    theirs, ours = _numbered(columns, reference)
    order = np.argsort(theirs, kind="stable")
    place = np.searchsorted(theirs, ours, sorter=order)
    place = order[np.minimum(place, len(order) - 1)] if len(order) else place
    found = len(order) > 0 and np.array_equal(theirs[place], ours)
    if not found or (exact and len(columns) != len(reference)):
        raise TfmmError(
            f"Row {name!r} scores other impressions than the baseline. "
            f"Received: {len(columns)} against {len(reference)} impressions. "
            "Evaluate every model on the same test requests."
        )
    return columns.select(place)


def _numbered(a: Columns, b: Columns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One number for each impression, equal where a and b hold the same one.

    An impression is (user, item, time, label); the second of two alike ones is another
    impression than the first.
    """
    keys = [np.concatenate([getattr(a, name), getattr(b, name)]) for name in _KEYS]
    side = np.repeat([0, 1], [len(a), len(b)])
    order = np.lexsort((side, *keys))
    changed = [np.r_[True, key[order][1:] != key[order][:-1]] for key in keys]
    new_key = np.logical_or.reduce(changed)
    new_run = new_key | np.r_[True, np.diff(side[order]) != 0]
    runs = np.flatnonzero(new_run)
    occurrence = np.arange(len(order)) - runs[np.cumsum(new_run) - 1]
    key = np.cumsum(new_key)
    number = np.empty(len(order), np.int64)
    number[order] = key * (len(order) + 1) + occurrence
    return number[: len(a)], number[len(a) :]
