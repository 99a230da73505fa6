"""Groups of items that a shopper cannot tell apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmm.records.disjoint_sets import DisjointSets
from tfmm.records.near_keys import near_keys

# What item records know of an item's sameness with others.
IDENTITY = ("image_hash", "equivalent", "image_phash")


def record_groups(
    rows: np.ndarray,
    identity: Mapping[str, Sequence[bytes]],
    manifest: Mapping[str, Any],
) -> np.ndarray:
    """The group of every catalog row, as the items' records and manifest say.

    Args:
        rows: int `[n]`, catalog rows, each once.
        identity: Per feature of `IDENTITY` the n items' values.
        manifest: Of the records; its `near_duplicates` is the most bits in which
            perceptual hashes of items of one group differ, 0 or absent for none.
    """
    keys = [identity["image_hash"], identity["equivalent"]]
    if near := manifest.get("near_duplicates", 0):
        keys.append(near_keys(identity["image_phash"], near))
    return item_groups(rows, *keys)


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
    size = int(rows.max()) + 1 if len(rows) else 1
    sets = DisjointSets(size)
    for values in keys:
        first: dict[bytes, int] = {}
        for row, value in zip(rows.tolist(), values, strict=True):
            if value:
                sets.join(first.setdefault(value, row), row)
    return np.array([sets.root(row) for row in range(size)], np.int32)
