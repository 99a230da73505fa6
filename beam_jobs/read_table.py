"""Reads a schema's tables in columnar chunks; every row knows where it came from."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa

from beam_jobs.chunks import to_bytes
from beam_jobs.counters import count
from beam_jobs.stretch import EVERYTHING, Stretch
from beam_jobs.work import Work
from tfmm import tables
from tfmm.schema import Schema, Table
from tfmm.tables import DeadLetter

_ROW_BITS = 40
ROWS_READ = "rows"


class ReadTable(beam.PTransform):
    """Table -> chunks as bytes, with the further column `source`.

    Rows that cannot be read become dead letters of the job's work.

    Args:
        schema: The schema.
        name: Name of the table in the schema, such as `"impressions"`.
        work: Where dead letters go.
        roles: Roles to read; all when absent.
        stretch: The days to read; other rows are counted as `outside`.
        ticks: Whether a row that is read is progress; else a later step says so.
    """

    def __init__(
        self,
        schema: Schema,
        name: str,
        work: Work,
        roles: Sequence[str] | None = None,
        stretch: Stretch = EVERYTHING,
        ticks: bool = True,
    ) -> None:
        super().__init__(f"Read {name}")
        self._reader = _ReadPiece(schema, name, work, roles, stretch, ticks)
        self._schema, self._name, self._stretch = schema, name, stretch

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Reads the table's pieces in parallel."""
        table = getattr(self._schema, self._name)
        pieces = _pieces(self._schema, self._name)
        every = [part for _, part in pieces]
        wanted = set(self._stretch.within(table, every, self._schema.time_unit))
        numbered = [
            (number, dataclasses.astuple(part))
            for number, part in pieces
            if part in wanted
        ]
        return (
            begin
            | "Pieces" >> beam.Create(numbered)
            | "Spread" >> beam.Reshuffle()
            | "Chunks" >> beam.ParDo(self._reader).with_output_types(bytes)
        )


class _ReadPiece(beam.DoFn):
    def __init__(
        self,
        schema: Schema,
        name: str,
        work: Work,
        roles: Sequence[str] | None,
        stretch: Stretch,
        ticks: bool,
    ) -> None:
        self._schema, self._name, self._work, self._roles = schema, name, work, roles
        self._stretch, self._ticks = stretch, ticks

    def process(self, element: tuple[int, tuple]) -> Iterator[bytes]:
        file_number, piece = element
        part = tables.Part(*piece)
        table = getattr(self._schema, self._name)
        found: list[DeadLetter] = []
        for chunk, letters in tables.read(
            table, part, self._schema.time_unit, self._roles
        ):
            found += letters
            self._work.tick(ROWS_READ, len(letters) + self._ticks * chunk.num_rows)
            chunk = self._within(chunk)
            count(f"{self._name}:read", chunk.num_rows + len(letters))
            for letter in letters:
                count(f"{self._name}:dropped:{letter.reason}")
            if chunk.num_rows:
                yield to_bytes(_with_source(chunk, file_number))
        key = f"{self._name}-{file_number:05d}-{part.first_row:012d}"
        self._work.letters(key, found, self._name)

    def _within(self, chunk: pa.Table) -> pa.Table:
        """The rows of the stretch."""
        if self._stretch == EVERYTHING or "time" not in chunk.column_names:
            return chunk
        kept = self._stretch.holds(chunk["time"].to_numpy())
        count(f"{self._name}:outside", int((~kept).sum()))
        return chunk.filter(pa.array(kept))


def read_here(schema: Schema, name: str, roles: Sequence[str]) -> Iterator[pa.Table]:
    """The good rows that `ReadTable` would read, in this process, chunk by chunk."""
    table: Table = getattr(schema, name)
    for file_number, part in _pieces(schema, name):
        for chunk, _ in tables.read(table, part, schema.time_unit, roles):
            yield _with_source(chunk, file_number)


def letter_of(
    source: int, files: Sequence[str], column: str, reason: str
) -> DeadLetter:
    """A dead letter for a row that a later step left out."""
    row = source & ((1 << _ROW_BITS) - 1)
    return DeadLetter(files[source >> _ROW_BITS], row, column, reason)


def files_of(schema: Schema, name: str) -> list[str]:
    """The files of a table in the order that sources number them."""
    pieces = tables.parts(getattr(schema, name), schema.folder)
    return list(dict.fromkeys(piece.file for piece in pieces))


def _pieces(schema: Schema, name: str) -> list[tuple[int, tables.Part]]:
    """The pieces of a table, each with the number of its file."""
    pieces = tables.parts(getattr(schema, name), schema.folder)
    files = {file: i for i, file in enumerate(dict.fromkeys(p.file for p in pieces))}
    return [(files[piece.file], piece) for piece in pieces]


def _with_source(chunk: pa.Table, file_number: int) -> pa.Table:
    source = (file_number << _ROW_BITS) + chunk["row"].to_numpy()
    return chunk.drop_columns("row").append_column("source", pa.array(source))
