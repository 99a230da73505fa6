"""The append-only item index: which catalog row an item id has, for ever."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest, write_manifest, writing

FILL_ROW = 0
UNKNOWN_ROW = 1
FIRST_ROW = 2
KIND = "item_index"


class ItemIndex:
    """Maps raw item ids to catalog rows; rows are assigned once and never move.

    Row 0 fills padding, row 1 stands for every unknown item, and the first id has
    row 2. `extend` appends new ids in sorted order; ids that are gone keep their row.

    Args:
        ids: Raw ids in row order, integers written in decimal.
        id_type: `"int64"` or `"string"`: what requests carry at the border.
        lineage: Name of this index and all that grows from it; derived from the first
            ids when absent.

    Example:
        >>> index = ItemIndex.create(["b", "a"])
        >>> index.rows_of(["a", "b", "zzz"]).tolist()
        [2, 3, 1]
        >>> index.extend(["0", "b"]).rows_of(["a", "b", "0"]).tolist()
        [2, 3, 4]
    """

    def __init__(
        self, ids: Sequence[str], id_type: str = "string", lineage: str | None = None
    ) -> None:
        if id_type not in ("int64", "string"):
            raise TfmmError(
                f"`id_type` must be 'int64' or 'string'. Received: {id_type!r}."
            )
        self.ids = list(ids)
        self.id_type = id_type
        self.lineage = lineage or _digest(self.ids)[:16]
        if len(set(self.ids)) != len(self.ids):
            raise TfmmError(
                "An item index holds every id once. Received: "
                f"{len(self.ids) - len(set(self.ids))} repeated ids."
            )

    @classmethod
    def create(cls, ids: Iterable[str], id_type: str = "string") -> "ItemIndex":
        """A new index of the distinct ids, in sorted order."""
        return cls(_sorted(set(ids), id_type), id_type)

    def extend(self, ids: Iterable[str]) -> "ItemIndex":
        """The index with new ids appended in sorted order; old rows stay."""
        new = set(ids) - self._known
        return ItemIndex(
            self.ids + _sorted(new, self.id_type), self.id_type, self.lineage
        )

    @property
    def rows(self) -> int:
        """Number of catalog rows, the two special ones included."""
        return len(self.ids) + FIRST_ROW

    def rows_of(self, ids: Sequence[str] | np.ndarray | pa.Array) -> np.ndarray:
        """Catalog rows of raw ids.

        Args:
            ids: Any sequence of raw ids; integers are read as their decimal text.

        Returns:
            int32 `[len(ids)]`; 1 where the id is unknown.
        """
        array = as_text(ids)
        found = pc.index_in(array, value_set=self._arrow)
        places = pc.fill_null(found, UNKNOWN_ROW - FIRST_ROW)
        return places.to_numpy(zero_copy_only=False) + np.int32(FIRST_ROW)

    def id_of(self, row: int) -> str:
        """The raw id of a catalog row; empty for rows 0 and 1."""
        return self.ids[row - FIRST_ROW] if row >= FIRST_ROW else ""

    def stamp(self) -> dict[str, Any]:
        """Lineage, length and digest, as every output made with this index carries."""
        return {"lineage": self.lineage, "rows": self.rows, "digest": self.digest}

    @cached_property
    def digest(self) -> str:
        """Digest of all ids in row order."""
        return _digest(self.ids)

    def check(self, stamp: Mapping[str, Any], what: str) -> None:
        """Refuses an output whose rows mean other items.

        Args:
            stamp: The output's index stamp.
            what: The output's name in the error message.

        Raises:
            TfmmError: If it comes from another lineage, from a longer index, or from
                one whose rows named other ids.
        """
        remedy = "Build it again with this index, or open the index it was built with."
        if stamp["lineage"] != self.lineage:
            raise TfmmError(
                f"{what} belongs to another item index. Expected: lineage "
                f"{self.lineage}. Received: lineage {stamp['lineage']}. {remedy}"
            )
        if stamp["rows"] > self.rows:
            raise TfmmError(
                f"{what} knows more items than the index. Expected: at most "
                f"{self.rows} rows. Received: {stamp['rows']} rows. {remedy}"
            )
        if _digest(self.ids[: stamp["rows"] - FIRST_ROW]) != stamp["digest"]:
            raise TfmmError(
                f"{what} names other items in the same rows. Expected: the first "
                f"{stamp['rows']} rows of lineage {self.lineage}. Received: another "
                f"branch of it. {remedy}"
            )

    def save(
        self,
        folder: str | Path,
        counts: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> None:
        """Writes `ids.parquet` and a manifest, whole or not at all.

        Args:
            folder: Where to write.
            counts: Counts for the manifest; those of the ids when absent.
            **facts: Further facts for the manifest.
        """
        with writing(folder) as tmp:
            pq.write_table(pa.table({"item_id": self._arrow}), tmp / "ids.parquet")
            write_manifest(
                tmp,
                kind=KIND,
                counts=counts or {"read": len(self.ids), "written": len(self.ids)},
                index=self.stamp(),
                id_type=self.id_type,
                **facts,
            )

    @classmethod
    def open(cls, folder: str | Path) -> "ItemIndex":
        """Opens a saved index.

        Raises:
            TfmmError: If the folder is unfinished or its ids are not those it says.
        """
        manifest = read_manifest(folder, kind=KIND)
        ids = pq.read_table(Path(folder) / "ids.parquet")["item_id"].to_pylist()
        stamp = manifest["index"]
        index = cls(ids, manifest["id_type"], stamp["lineage"])
        index.check(stamp, f"`{folder}`")
        return index

    @cached_property
    def _known(self) -> set[str]:
        return set(self.ids)

    @cached_property
    def _arrow(self) -> pa.Array:
        return pa.array(self.ids, pa.string())


def as_text(ids: Sequence[str] | np.ndarray | pa.Array) -> pa.Array:
    """Raw ids as an Arrow string array; integers in decimal."""
    if not isinstance(ids, pa.Array | pa.ChunkedArray):
        ids = pa.array(ids)
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    return ids if ids.type == pa.string() else pc.cast(ids, pa.string())


def _sorted(ids: Iterable[str], id_type: str) -> list[str]:
    return sorted(ids, key=int) if id_type == "int64" else sorted(ids)


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()
