"""What pairs need to know of items: their group, and whether they have media."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from beam_jobs import files
from beam_jobs.chunks import joined, to_bytes, to_table
from tfmm.records.example import decode
from tfmm.records.groups import IDENTITY, record_groups
from tfmm.records.index import FIRST_ROW, ItemIndex

_READ = pa.schema(
    {"row": pa.int64()}
    | {name: pa.binary() for name in IDENTITY}
    | {"image": pa.bool_(), "text": pa.bool_()}
)


class ItemFacts:
    """Facts by catalog row.

    Args:
        data: One element of what `ReadItemFacts` gives.
    """

    def __init__(self, data: bytes) -> None:
        table = to_table(data)
        self.rows = table["row"].to_numpy()
        self._group = table["group"].to_numpy()
        self._media = {
            name: table[name].to_numpy(zero_copy_only=False)
            for name in ("image", "text")
        }
        size = int(self.rows.max(initial=0)) + 1
        self._place = np.full(size, -1, np.int64)
        self._place[self.rows] = np.arange(len(self.rows))

    def groups(self, rows: np.ndarray) -> np.ndarray:
        """int64 `[n]`, the groups of rows; a row without a record is its own."""
        place = self._places(rows)
        return np.where(place >= 0, np.append(self._group, 0)[place], rows)

    def has(self, media: str, rows: np.ndarray) -> np.ndarray:
        """bool `[n]`: which rows have an `image`, or a title as `text`."""
        return np.append(self._media[media], False)[self._places(rows)]

    def _places(self, rows: np.ndarray) -> np.ndarray:
        known = rows < len(self._place)
        return np.where(known, self._place[np.where(known, rows, 0)], -1)


class ReadItemFacts(beam.PTransform):
    """Item records -> one element, what `ItemFacts` takes.

    Args:
        folder: Item records, of the same index as `index`.
        index: The item index.

    Raises:
        TfmmError: If the folder is no item records or of another index.
    """

    def __init__(self, folder: str | Path, index: ItemIndex) -> None:
        super().__init__()
        manifest = files.manifest(str(folder), "items")
        index.check(manifest["index"], f"`{folder}`")
        names = sorted(x for x in manifest["files"] if x.endswith(".tfrecord"))
        self._files = [files.join(str(folder), name) for name in names]
        self._manifest = {"near_duplicates": manifest.get("near_duplicates", 0)}

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Reads the files in parallel, groups in one place."""
        return (
            begin
            | "Item files" >> beam.Create(self._files)
            | "Spread items" >> beam.Reshuffle()
            | "Item facts" >> beam.Map(_read_facts).with_output_types(tuple[int, bytes])
            | "All items" >> beam.GroupByKey()
            | "Groups" >> beam.Map(_grouped, self._manifest)
        )


def _read_facts(file: str) -> tuple[int, bytes]:
    facts = pa.Table.from_pylist(list(_facts(file)), _READ)
    return 0, to_bytes(facts)


def _facts(file: str) -> Iterator[dict[str, Any]]:
    for record in files.records(file):
        item = decode(record)
        yield {
            "row": item["row"][0],
            **{name: _first(item, name) for name in IDENTITY},
            "image": bool(_first(item, "image")),
            "text": bool(_first(item, "title")),
        }


def _first(item: dict[str, list], name: str) -> bytes:
    return next(iter(item.get(name, [])), b"")


def _grouped(group: tuple[int, Iterable[bytes]], manifest: Mapping[str, Any]) -> bytes:
    table = joined(group[1])
    assert table is not None
    table = table.sort_by("row")
    rows = table["row"].to_numpy()
    identity = {name: table[name].to_pylist() for name in IDENTITY}
    groups = np.zeros(0, np.int32)
    if len(rows):  # Rows below the first item's take part in nothing.
        groups = record_groups(rows, identity, manifest)[rows]
    assert not len(rows) or rows[0] >= FIRST_ROW
    facts = table.select(["row", "image", "text"])
    facts = facts.append_column("group", pa.array(groups.astype(np.int64)))
    return to_bytes(facts)
