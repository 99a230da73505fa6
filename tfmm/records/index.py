"""The append-only item index: which catalog row an item id has, for ever."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tfmm.errors import TfmmError
from tfmm.records.id_column import IdColumn
from tfmm.records.manifest import read_manifest, write_manifest, writing

FILL_ROW = 0
UNKNOWN_ROW = 1
FIRST_ROW = 2
KIND = "item_index"


class ItemIndex:
    """Maps raw item ids to catalog rows; rows are assigned once and never move.

    Row 0 fills padding, row 1 stands for every unknown item, and the first id has
    row 2. `extend` appends new ids in sorted order; ids that are gone keep their row.
    An index made `of_integers` holds eight bytes an id, and text only where asked for.

    Args:
        ids: Raw ids in row order, integers written in decimal or as an int64 array.
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
        self,
        ids: Sequence[str] | np.ndarray | pa.Array,
        id_type: str = "string",
        lineage: str | None = None,
    ) -> None:
        if id_type not in ("int64", "string"):
            raise TfmmError(
                f"`id_type` must be 'int64' or 'string'. Received: {id_type!r}."
            )
        self._column = IdColumn(ids)
        self.id_type = id_type
        self.lineage = lineage or self._column.digest()[:16]
        if repeated := self._column.repeated():
            raise TfmmError(
                f"An item index holds every id once. Received: {repeated} repeated ids."
            )

    @classmethod
    def create(cls, ids: Iterable[str], id_type: str = "string") -> "ItemIndex":
        """A new index of the distinct ids, in sorted order."""
        return cls(_sorted(set(ids), id_type), id_type)

    @classmethod
    def of_integers(cls, ids: np.ndarray) -> "ItemIndex":
        """A new index of the distinct integers, in sorted order: as `create`'s.

        Args:
            ids: int64 `[n]`.

        Example:
            >>> index = ItemIndex.of_integers(np.array([10, -3, 10]))
            >>> index.ids, index.rows_of(np.array([10, 5])).tolist()
            (['-3', '10'], [3, 1])
            >>> index.digest == ItemIndex.create(["-3", "10"], "int64").digest
            True
        """
        return cls(np.unique(np.asarray(ids, np.int64)), "int64")

    @cached_property
    def ids(self) -> list[str]:
        """Raw ids in row order, integers written in decimal."""
        return self._column.texts().to_pylist()

    def extend(self, ids: Iterable[str]) -> "ItemIndex":
        """The index with new ids appended in sorted order; old rows stay."""
        new = set(ids) - self._known
        return ItemIndex(
            self.ids + _sorted(new, self.id_type), self.id_type, self.lineage
        )

    @property
    def rows(self) -> int:
        """Number of catalog rows, the two special ones included."""
        return len(self._column) + FIRST_ROW

    def rows_of(self, ids: Sequence[str] | np.ndarray | pa.Array) -> np.ndarray:
        """Catalog rows of raw ids.

        Args:
            ids: Any sequence of raw ids; integers are read as their decimal text.

        Returns:
            int32 `[len(ids)]`; 1 where the id is unknown.
        """
        places = self._column.places(ids)
        return np.where(places < 0, UNKNOWN_ROW, places + FIRST_ROW).astype(np.int32)

    def id_of(self, row: int) -> str:
        """The raw id of a catalog row; empty for rows 0 and 1."""
        return self._column.text(row - FIRST_ROW) if row >= FIRST_ROW else ""

    def stamp(self) -> dict[str, Any]:
        """Lineage, length and digest, as every output made with this index carries."""
        return {"lineage": self.lineage, "rows": self.rows, "digest": self.digest}

    @cached_property
    def digest(self) -> str:
        """Digest of all ids in row order."""
        return self._column.digest()

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
        known = stamp["rows"] == self.rows and self.digest
        if stamp["digest"] != (known or self._column.digest(stamp["rows"] - FIRST_ROW)):
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
            self._column.save(tmp / "ids.parquet")
            write_manifest(
                tmp,
                kind=KIND,
                counts=counts or dict.fromkeys(("read", "written"), len(self._column)),
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
        stamp, id_type = manifest["index"], manifest["id_type"]
        ids = IdColumn.load(Path(folder) / "ids.parquet", id_type == "int64")
        index = cls(ids, id_type, stamp["lineage"])
        index.check(stamp, f"`{folder}`")
        return index

    @cached_property
    def _known(self) -> set[str]:
        return set(self.ids)


def _sorted(ids: Iterable[str], id_type: str) -> list[str]:
    return sorted(ids, key=int) if id_type == "int64" else sorted(ids)
