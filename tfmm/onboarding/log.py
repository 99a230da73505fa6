"""Streams the log into the compact columns that a check needs."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfmm import tables
from tfmm.schema import Schema


@dataclasses.dataclass
class Dead:
    """Rows left out, by table and reason; filled while a table is read."""

    by_table: dict[str, Counter[str]] = dataclasses.field(default_factory=dict)

    def add(self, table: str, letters: Sequence[tables.DeadLetter]) -> None:
        """Counts dead letters."""
        self.of(table).update(f"{x.column}: {x.reason}" for x in letters)

    def of(self, table: str) -> Counter[str]:
        """The table's counts by column and reason."""
        return self.by_table.setdefault(table, Counter())


def stream(
    schema: Schema, name: str, dead: Dead, roles: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Good rows of a table, chunk by chunk, the others counted in `dead`.

    Args:
        schema: The schema.
        name: The table, such as `impressions`.
        dead: Where rows left out are counted.
        roles: Roles to read; all when absent.
    """
    table = getattr(schema, name)
    for part in tables.parts(table, schema.folder):
        for chunk, letters in tables.read(table, part, schema.time_unit, roles):
            dead.add(name, letters)
            yield chunk


def log_table(schema: Schema, name: str, dead: Dead) -> pa.Table | None:
    """Impressions or events with ids as numbers: about 50 bytes a row.

    Columns `user`, `item`, `request` hold `numbers_of` ids; `time`, `type`, `label:*`
    and `source` (row number) are as the jobs have them. `None` without rows.
    """
    declared = getattr(schema, name).columns()
    wanted = [
        role
        for role in declared
        if role in ("user", "item", "time", "request", "type")
        or role.startswith("label:")
    ]
    chunks = []
    first = 0
    for chunk in stream(schema, name, dead, wanted):
        columns = {}
        for role in wanted:
            values = chunk[role]
            if role in ("user", "item", "request"):
                values = pa.array(numbers_of(values))
            columns[role] = values
        columns["source"] = pa.array(np.arange(first, first + chunk.num_rows))
        first += chunk.num_rows
        chunks.append(pa.table(columns))
    return pa.concat_tables(chunks) if first else None


def numbers_of(ids: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """int64 `[n]`: equal ids have equal numbers, within this process alone.

    Python's string hash, 64 bits with a seed of the process: two of ten million ids
    share a number with a chance of one in 400,000.
    """
    array = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    encoded = array.dictionary_encode()
    numbers = np.fromiter(
        map(hash, encoded.dictionary.to_pylist()), np.int64, len(encoded.dictionary)
    )
    return numbers[encoded.indices.to_numpy()]


def share(flags: Iterator[tuple[int, int]]) -> float | None:
    """The share from (hits, rows) pairs; `None` without rows."""
    pairs = list(flags)
    rows = sum(n for _, n in pairs)
    return sum(hits for hits, _ in pairs) / rows if rows else None


def has_value(values: pa.ChunkedArray) -> np.ndarray:
    """bool `[n]`: neither null nor empty."""
    if pa.types.is_null(values.type):
        return np.zeros(len(values), bool)
    filled = pc.greater(pc.binary_length(values), 0)
    return pc.fill_null(filled, False).to_numpy()
