"""Searches with what was bought in them: rows of the index, and the part of each."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from beam_jobs.chunks import to_bytes, to_table
from beam_jobs.counters import count
from beam_jobs.kernels.columns import flat, lists
from beam_jobs.kernels.hashes import NOTHING, of_values
from beam_jobs.kernels.ordering import changes
from beam_jobs.read_table import ReadTable, files_of, letter_of
from beam_jobs.search_split import SearchSplit, roles_read
from beam_jobs.split_check import TEST, part_of
from beam_jobs.with_index import WithIndex
from beam_jobs.work import Work
from tfmm.records.index import UNKNOWN_ROW, ItemIndex
from tfmm.schema import Schema
from tfmm.tables import DeadLetter


class KnownSearches(beam.PTransform):
    """Searches with a bought item -> chunks for `PairsOfSearches`.

    Those chunks have the int64 columns `source` (the search's row in the input),
    `origin` (that of the purchase), `search` (hash of the id, or 0), `time` and `item`
    (catalog row), `test` (bool) and, where known, `query_text`, `query_image`,
    `clicked` and `negatives` (lists of catalog rows).

    Args:
        schema: The schema.
        index: Folder of the item index.
        work: The job's work.
        split: Which searches are the test; a supplied `part` goes before it.
    """

    def __init__(
        self, schema: Schema, index: str, work: Work, split: SearchSplit
    ) -> None:
        super().__init__()
        ticks = schema.groups_queries
        self._read = ReadTable(
            schema, "searches", work, roles_read(schema), ticks=ticks
        )
        self._known = _Known(schema, index, work, split)

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Reads and looks up."""
        return begin | self._read | "Known" >> beam.ParDo(self._known)


class _Known(WithIndex):
    def __init__(
        self, schema: Schema, index: str, work: Work, split: SearchSplit
    ) -> None:
        super().__init__(index)
        assert schema.searches is not None and schema.searches.bought
        self._work, self._split = work, split
        self._bought, self._part = schema.searches.bought, schema.searches.part
        self._files = files_of(schema, "searches")

    def process(self, chunk: bytes) -> Iterator[bytes]:
        whole = to_table(chunk)
        known = self.index.rows_of(whole["bought"]) != UNKNOWN_ROW
        letters = self._letters(whole, ~known, self._bought, "not_in_index")
        table = whole.filter(pa.array(known))
        if self._part:
            parts = part_of(table["part"])
            bare = parts.is_null().to_numpy(zero_copy_only=False)
            letters += self._letters(table, bare, self._part, "not_part")
            test = pa.array(np.array(parts.to_pylist()) == TEST)
            table = table.append_column("test", test).filter(parts.is_valid())
        else:
            test = pa.array(self._split.is_test(table))
            table = table.append_column("test", test)
        key = f"searches-known-{whole['source'][0].as_py():016d}"
        self._work.letters(key, letters, "searches")
        item = self.index.rows_of(table["bought"]).astype(np.int64)
        none = np.full(table.num_rows, NOTHING)
        named = "search" in table.column_names
        columns = {
            "source": table["source"],
            "origin": table["source"],
            "search": of_values(table["search"]) if named else none,
            "time": table["time"],
            "item": item,
            "test": table["test"],
        }
        for name in ("query_text", "query_image"):
            if name in table.column_names:
                columns[name] = table[name]
        if "clicked" in table.column_names:
            clicked = clicked_rows(self.index, table["clicked"])
            owner, rows = flat(clicked)
            other = pa.array(rows.to_numpy() != item[owner])
            columns["clicked"] = clicked
            columns["negatives"] = lists(
                owner[other], rows.filter(other).to_numpy(), len(item)
            )
        if len(item):
            yield to_bytes(pa.table(columns))

    def _letters(
        self, table: pa.Table, wrong: np.ndarray, column: str, reason: str
    ) -> list[DeadLetter]:
        """Dead letters of the wrong rows, counted."""
        count(f"searches:dropped:{reason}", int(wrong.sum()))
        sources = table["source"].to_numpy()[wrong].tolist()
        return [letter_of(x, self._files, column, reason) for x in sources]


def clicked_rows(index: ItemIndex, clicked: pa.ChunkedArray) -> pa.Array:
    """Catalog rows of the clicked items that the index knows, each once, counted."""
    found, counts = rows_in_lists(index, clicked)
    count("clicked:read", sum(counts.values()) + len(found.values))
    for reason, amount in counts.items():
        count(f"clicked:dropped:{reason}", amount)
    return found


def rows_in_lists(
    index: ItemIndex, ids: pa.ChunkedArray
) -> tuple[pa.Array, dict[str, int]]:
    """Lists of ids as lists of known catalog rows, each once and ascending.

    Args:
        index: The item index.
        ids: Lists of ids; null is none.

    Returns:
        The lists, and how many values were left out for which reason.
    """
    owner, values = flat(ids)
    given = values.is_valid()
    owner = owner[given.to_numpy(zero_copy_only=False)]
    rows = index.rows_of(values.filter(given)).astype(np.int64)
    known = rows != UNKNOWN_ROW
    once = np.sort(owner[known] * index.rows + rows[known])
    once = once[changes(once)]
    left_out = {"not_in_index": len(rows) - known.sum()}
    left_out["repeated"] = known.sum() - len(once)
    return lists(once // index.rows, once % index.rows, len(ids)), left_out
