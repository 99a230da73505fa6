"""Which old row every row of a grown embedding table comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.spec import FIRST_CODE, Feature
from tfmm.records.vocabularies import USER, Vocabularies

ITEM, EVENT_TYPE = "item", "event_type"
NEW = -1


class RowCounts(NamedTuple):
    """How many ids a grown table carries on, hashed codes being ids of their own.

    The two special rows are not counted.

    Args:
        carried: Ids in both tables.
        new: Ids in the new table alone.
        dropped: Ids in the old table alone.
    """

    carried: int
    new: int
    dropped: int


@dataclass(frozen=True)
class RowMap:
    """Where the rows of a new table come from.

    Args:
        source: int64 `[new rows]`, the old row of each new one; -1 for a new id.
        old_rows: Rows of the old table.

    Example:
        >>> rows = RowMap(np.array([0, 1, 3, -1]), old_rows=4)
        >>> rows.counts
        RowCounts(carried=1, new=1, dropped=1)
    """

    source: np.ndarray
    old_rows: int

    @property
    def counts(self) -> RowCounts:
        """How many ids are carried, new and dropped."""
        named = self.source[FIRST_CODE:]
        carried = int((named != NEW).sum())
        dropped = self.old_rows - FIRST_CODE - carried
        return RowCounts(carried, len(named) - carried, dropped)

    def carried(self, new: np.ndarray, old: np.ndarray) -> np.ndarray:
        """The new table with the rows of known ids from the old one.

        Args:
            new: `[new rows, ...]`.
            old: `[old rows, ...]`.

        Returns:
            A copy of `new` with the old rows in their new places.

        Example:
            >>> rows = RowMap(np.array([0, 1, -1, 2]), old_rows=3)
            >>> rows.carried(np.zeros(4), np.array([5, 6, 7])).tolist()
            [5.0, 6.0, 0.0, 7.0]
        """
        table = np.array(new)
        known = self.source != NEW
        table[known] = old[self.source[known]]
        return table


def value_rows(old: Sequence[str], new: Sequence[str]) -> RowMap:
    """The map of a table whose row `i + 2` stands for value `i`.

    Args:
        old: Values of the old table.
        new: Values of the new one, in any order.

    Example:
        >>> value_rows(["red", "blue"], ["blue", "green"]).source.tolist()
        [0, 1, 3, -1]
    """
    found = pc.index_in(
        pa.array(list(new), pa.string()), value_set=pa.array(list(old), pa.string())
    )
    places = pc.fill_null(found, NEW - FIRST_CODE).to_numpy().astype(np.int64)
    source = np.r_[np.arange(FIRST_CODE), places + FIRST_CODE]
    return RowMap(source, len(old) + FIRST_CODE)


def item_rows(old: Vocabularies, new: Vocabularies) -> RowMap:
    """The map of the items' table; catalog rows tell which item is which.

    An item that was too rare for a row of its own counts as new.

    Args:
        old: The old vocabularies.
        new: Those of an item index that is the old one or grew from it.
    """
    shared = len(old.items.embedding_row)
    before = np.asarray(old.items.embedding_row)
    after = np.asarray(new.items.embedding_row)[:shared]
    both = (before >= FIRST_CODE) & (after >= FIRST_CODE)
    source = np.full(new.spec.items, NEW, np.int64)
    source[:FIRST_CODE] = np.arange(FIRST_CODE)
    source[after[both]] = before[both]
    return RowMap(source, old.spec.items)


def row_maps(
    old: Vocabularies, new: Vocabularies, index: ItemIndex | None = None
) -> dict[str, RowMap]:
    """The map of every table, by what its rows stand for.

    Args:
        old: The old vocabularies.
        new: The new ones, with the same features.
        index: The new item index; with it, rows are checked to name the same ids.

    Returns:
        A map for `"user"`, `"item"`, `"event_type"` and each categorical feature's
        tensor.

    Raises:
        TfmmError: The new vocabularies' item index did not grow from the old ones'.
    """
    _check_growth(old.index_stamp, new.index_stamp)
    if index is not None:
        index.check(new.index_stamp, "The new vocabulary")
        index.check(old.index_stamp, "The old vocabulary")
    types = value_rows(old.spec.event_types, new.spec.event_types)
    maps = {ITEM: item_rows(old, new), EVENT_TYPE: types}
    maps[USER] = value_rows(old.values[USER], new.values[USER])
    before = {feature.tensor: feature for feature in old.spec.features}
    for feature in new.spec.features:
        if feature.kind == "categorical":
            name = feature.tensor
            known = value_rows(old.values[name], new.values[name])
            maps[name] = _with_hashed(known, before[name], feature)
    return maps


def _with_hashed(known: RowMap, old: Feature, new: Feature) -> RowMap:
    """Hashed codes come last; with as many of them each stands for what it did."""
    hashed = np.full(new.hash_buckets, NEW)
    if old.hash_buckets == new.hash_buckets:
        hashed = known.old_rows + np.arange(new.hash_buckets)
    source = np.concatenate([known.source, hashed])
    return RowMap(source, known.old_rows + old.hash_buckets)


def _check_growth(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    same = old["lineage"] == new["lineage"]
    grown = old["rows"] < new["rows"] or old == new
    if not (same and grown):
        raise TfmmError(
            "The new vocabularies must belong to the old ones' item index or to one "
            f"that grew from it. Received: old {_said(old)}, new {_said(new)}. Extend "
            "the index (the job `item_index` with `--previous`) instead of making "
            "another, and give old and new in this order."
        )


def _said(stamp: Mapping[str, Any]) -> str:
    return f"lineage {stamp['lineage']} with {stamp['rows']} rows"
