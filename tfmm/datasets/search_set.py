"""Items, searches and which items answer which search, in memory and as tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfmm.datasets.picture_archive import pixels
from tfmm.records.manifest import write_manifest, writing
from tfmm.schema import Schema

# A moment of each part, seconds; the split itself is by the column `part`.
_TIMES = {"train": 1_700_000_000, "test": 1_800_000_000}


@dataclass(frozen=True, eq=False)
class SearchSet:
    """A retrieval data set: I items, Q searches, P pairs of a search and an answer.

    Args:
        name: Of the data set.
        item_ids: I raw ids.
        titles: I titles: what a text tower reads of an item.
        item_images: I picture files' contents.
        groups: int32 `[I]`, the first item of each item's group; items of one group are
            interchangeable.
        attributes: Columns of I values, `""` where unknown.
        query_words: Q texts, `""` where a search has none.
        query_images: Q picture files' contents, `b""` where a search has none.
        parts: `[Q]` of `"train"`, `"validation"` and `"test"`.
        pair_query: int32 `[P]`, the search of each pair.
        pair_item: int32 `[P]`, the item that answers it (its place, not its id).
    """

    name: str
    item_ids: list[str]
    titles: list[str]
    item_images: list[bytes]
    groups: np.ndarray
    attributes: Mapping[str, list[str]]
    query_words: list[str]
    query_images: list[bytes]
    parts: np.ndarray
    pair_query: np.ndarray
    pair_item: np.ndarray

    def item_pixels(self, size: int) -> np.ndarray:
        """The items' pictures, uint8 `[I, size, size, 3]`."""
        return pixels(self.item_images, size)

    def query_pixels(self, size: int) -> np.ndarray:
        """The searches' pictures, uint8 `[Q, size, size, 3]`, zeros where none."""
        return pixels(self.query_images, size)

    def pairs(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Searches and items of a part's pairs, two int32 `[pairs]`."""
        chosen = self.parts[self.pair_query] == part
        return self.pair_query[chosen], self.pair_item[chosen]

    def candidates(self, part: str) -> np.ndarray:
        """The items that answer any search of a part: int32, ascending places."""
        return np.unique(self.pairs(part)[1])

    def convert(self, folder: str | Path) -> Path:
        """Writes the set as tables with a schema, for the jobs.

        - `items.parquet`: `item_id`, `title`, `image` (bytes), `equivalent` (id of the
          group's first item, null for items without an equal), the attributes.
        - `searches.parquet`, one row a pair of training and test: `search`, `time`,
          `part`, `query_text`, `query_image` (bytes), `bought_item`, `answered` (1).
          Pairs for validation are left out and counted. The schema asks for a log:
          these pairs are it, of one user a search.
        - `schema.yaml`.

        Args:
            folder: Where to write; replaced as a whole, and only when all is done.

        Returns:
            The folder.
        """
        tables = {"items": self._items(), "searches": self._searches()}
        with writing(folder) as tmp:
            for name, table in tables.items():
                pq.write_table(table, tmp / f"{name}.parquet", compression="zstd")
            self.schema().to_yaml(tmp / "schema.yaml")
            written = {name: table.num_rows for name, table in tables.items()}
            left_out = len(self.pair_query) - written["searches"]
            counts = {
                "read": len(self.item_ids) + len(self.pair_query),
                "written": written,
                "dropped": {"validation": left_out},
            }
            write_manifest(tmp, kind=self.name, counts=counts)
        return Path(folder)

    def schema(self) -> Schema:
        """The roles of the tables' columns."""
        content: dict[str, Any] = {
            "name": self.name,
            "items": {
                "files": "items.parquet",
                "id": "item_id",
                "title": "title",
                "image": "image",
                "equivalent": "equivalent",
                "features": dict.fromkeys(self.attributes, "categorical"),
            },
            "searches": {
                "files": "searches.parquet",
                "time": "time",
                "bought": "bought_item",
                "search": "search",
                "part": "part",
            },
            "impressions": {
                "files": "searches.parquet",
                "user": "search",
                "item": "bought_item",
                "time": "time",
                "labels": ["answered"],
            },
            "history": {"label": "answered"},
            "media": {"image_size": 128},
            "split": {
                "rule": "global_time",
                "test_from": _TIMES["test"],
            },
        }
        if any(self.query_words):
            content["searches"]["query_text"] = "query_text"
        if any(self.query_images):
            content["searches"]["query_image"] = "query_image"
        return Schema.model_validate(content)

    def _items(self) -> pa.Table:
        several = np.bincount(self.groups, minlength=len(self.groups))[self.groups] > 1
        equals = [
            self.item_ids[group] if more else None
            for group, more in zip(self.groups, several, strict=True)
        ]
        columns = {
            "item_id": pa.array(self.item_ids, pa.string()),
            "title": pa.array(self.titles, pa.string()),
            "image": pa.array(self.item_images, pa.binary()),
            "equivalent": pa.array(equals, pa.string()),
        }
        for name, values in self.attributes.items():
            columns[name] = pa.array([value or None for value in values], pa.string())
        return pa.table(columns)

    def _searches(self) -> pa.Table:
        parted = self.parts[self.pair_query]
        kept = np.isin(parted, list(_TIMES))
        queries = self.pair_query[kept].tolist()
        parts = [str(self.parts[query]) for query in queries]
        columns = {
            "search": pa.array(queries, pa.int64()),
            "time": pa.array([_TIMES[part] for part in parts], pa.int64()),
            "part": pa.array(parts, pa.string()),
            "query_text": pa.array([self.query_words[q] or None for q in queries]),
            "query_image": pa.array(
                [self.query_images[q] or None for q in queries], pa.binary()
            ),
            "bought_item": pa.array([self.item_ids[i] for i in self.pair_item[kept]]),
            "answered": pa.array([1] * len(queries), pa.int8()),
        }
        return pa.table(columns)
