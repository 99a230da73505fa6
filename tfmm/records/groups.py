"""Groups of items that a shopper cannot tell apart."""

from collections.abc import Sequence

import numpy as np


def item_groups(rows: np.ndarray, *keys: Sequence[bytes]) -> np.ndarray:
    """The group of every catalog row: items that share any key, transitively.

    A group's id is the smallest catalog row in it; a row alone, or one that is not
    given, is a group of its own.

    Args:
        rows: int `[n]`, catalog rows, each once.
        *keys: Per kind of key n values; empty ones join nothing.

    Returns:
        int32 `[max(rows) + 1]`, from catalog row to group.

    Example:
        >>> item_groups(np.array([5, 2, 4]), [b"x", b"x", b""], [b"", b"y", b"y"])
        array([0, 1, 2, 3, 2, 2], dtype=int32)
    """
    parent = list(range(int(rows.max()) + 1 if len(rows) else 1))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for values in keys:
        first: dict[bytes, int] = {}
        for row, value in zip(rows.tolist(), values, strict=True):
            if not value:
                continue
            one, other = root(first.setdefault(value, row)), root(row)
            parent[max(one, other)] = min(one, other)
    return np.array([root(row) for row in range(len(parent))], np.int32)
