"""Sorting logs: rows of one request lie together, and few rows tie."""

from collections.abc import Sequence

import numpy as np

from tfmm.records.ragged import stretches

# Codes of a column take the lower half of a sort key, numbers of groups the upper.
_CODE_BITS = 32


def changes(*columns: np.ndarray) -> np.ndarray:
    """True where any of the columns differs from the row before: bool `[n]`.

    Example:
        >>> changes(np.array([1, 1, 2, 2]), np.array([5, 5, 5, 6])).tolist()
        [True, False, True, True]
    """
    new = np.ones(len(columns[0]), bool)
    new[1:] = False
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return new


def order(leading: Sequence[np.ndarray], ties: Sequence[np.ndarray]) -> np.ndarray:
    """`np.lexsort([*ties, *leading])`, several times as fast on logs.

    Runs of rows that are equal in the leading columns move as one. Then rows that tie
    there are sorted by the other columns, which leaves them where they are but for a
    few places, and that sorting is nearly free.

    Args:
        leading: Arrays `[n]` of the main keys, the most important one last.
        ties: Arrays `[n]` of the lesser keys, the most important one last.

    Returns:
        int64 `[n]`.

    Example:
        >>> user, item = np.array([7, 7, 3]), np.array([2, 1, 9])
        >>> order([user], [item]).tolist()
        [2, 1, 0]
    """
    runs = np.flatnonzero(changes(*leading))
    sizes = np.diff(runs, append=len(leading[0]))
    by = np.lexsort([column[runs] for column in leading])
    found = stretches(runs[by], sizes[by])
    group = np.cumsum(changes(*(column[found] for column in leading))) << _CODE_BITS
    for column in ties:
        found = found[np.argsort(group | _codes(column)[found], kind="stable")]
    return found


def _codes(column: np.ndarray) -> np.ndarray:
    """Integers from 0 in the order of the values."""
    if not len(column):
        return column.astype(np.int64)
    low = column.min()
    if float(column.max()) - float(low) < 1 << (_CODE_BITS - 1):
        whole = (column - low).astype(np.int64)
        if (whole + low == column).all():
            return whole
    return np.unique(column, return_inverse=True)[1]
