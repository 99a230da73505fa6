"""What all jobs share: reading tables in chunks, shards, dead letters, counters."""

import argparse
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.schema import Schema, Table

DEFAULT_RUNNER = "FnApiRunner"
DEAD = "dead_letters"
SHARDS = 8
_SOURCE_ROW_BITS = 40
_TAUGHT = re.compile(r"TfmmError: (.+?)(?: \[while running|\n|$)")


def options(pipeline_args: Sequence[str]) -> PipelineOptions:
    """Pipeline options: our default runner, importable code only.

    `DirectRunner` would first try to download Prism; `FnApiRunner` is what it falls
    back to.
    """
    args = list(pipeline_args)
    if not any(arg.startswith("--runner") for arg in args):
        args.append(f"--runner={DEFAULT_RUNNER}")
    return PipelineOptions([*args, "--no_save_main_session"])


def parser(description: str) -> argparse.ArgumentParser:
    """A job's argument parser; what it does not know goes to Beam."""
    return argparse.ArgumentParser(
        description=description,
        epilog="All other flags go to Beam, such as --runner=DataflowRunner.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def main(
    arguments: argparse.ArgumentParser, run: Any, argv: Sequence[str] | None = None
) -> None:
    """Runs a job from the command line and prints one line of counts."""
    known, rest = arguments.parse_known_args(argv)
    try:
        manifest = run(**vars(known), pipeline_args=rest)
    except TfmmError as error:
        raise SystemExit(f"{error}") from None
    print(json.dumps(manifest["counts"]))


class ReadTable(beam.PTransform):
    """Table -> chunks as `(source, ipc)`, and dead letters under the tag `DEAD`.

    Args:
        schema: The schema.
        name: Name of the table in the schema, such as `"impressions"`.
        roles: Roles to read; all when absent.
    """

    def __init__(
        self, schema: Schema, name: str, roles: Sequence[str] | None = None
    ) -> None:
        super().__init__(f"Read {name}")
        self._schema, self._name, self._roles = schema, name, roles

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Reads the table's pieces in parallel."""
        pieces = _pieces(self._schema, self._name)
        numbered = [(number, dataclasses.astuple(part)) for number, part in pieces]
        return (
            begin
            | "Pieces" >> beam.Create(numbered)
            | "Spread" >> beam.Reshuffle()
            | "Chunks"
            >> beam.ParDo(
                _ReadPiece(self._schema, self._name, self._roles)
            ).with_outputs(DEAD, main="chunks")
        )


class _ReadPiece(beam.DoFn):
    def __init__(self, schema: Schema, name: str, roles: Sequence[str] | None) -> None:
        self._schema, self._name, self._roles = schema, name, roles

    def process(self, element: tuple[int, tuple]) -> Iterator[Any]:
        file_number, piece = element
        part = tables.Part(*piece)
        table = getattr(self._schema, self._name)
        for chunk, letters in tables.read(
            table, part, self._schema.time_unit, self._roles
        ):
            count(f"{self._name}:read", chunk.num_rows + len(letters))
            for letter in letters:
                count(f"{self._name}:dropped:{letter.reason}")
                yield beam.pvalue.TaggedOutput(
                    DEAD, json.dumps(dataclasses.asdict(letter))
                )
            if chunk.num_rows:
                yield to_bytes(_with_source(chunk, file_number))


def read_here(schema: Schema, name: str, roles: Sequence[str]) -> Iterator[pa.Table]:
    """The good rows that `ReadTable` would read, in this process, chunk by chunk."""
    table: Table = getattr(schema, name)
    for file_number, part in _pieces(schema, name):
        for chunk, _ in tables.read(table, part, schema.time_unit, roles):
            yield _with_source(chunk, file_number)


def _pieces(schema: Schema, name: str) -> list[tuple[int, tables.Part]]:
    """The pieces of a table, each with the number of its file."""
    pieces = tables.parts(getattr(schema, name), schema.folder)
    files = {file: i for i, file in enumerate(dict.fromkeys(p.file for p in pieces))}
    return [(files[piece.file], piece) for piece in pieces]


def _with_source(chunk: pa.Table, file_number: int) -> pa.Table:
    source = (file_number << _SOURCE_ROW_BITS) + chunk["row"].to_numpy()
    return chunk.drop_columns("row").append_column("source", pa.array(source))


class WithIndex(beam.DoFn):
    """A DoFn that opens the item index once per worker."""

    def __init__(self, index: str | Path) -> None:
        self._index_folder = str(index)

    def setup(self) -> None:
        """Opens the index."""
        self.index = ItemIndex.open(self._index_folder)


class WriteDeadLetters(beam.PTransform):
    """Writes `dead_letters.jsonl` in the order of file and row."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self._folder = str(folder)

    def expand(self, letters: Any) -> Any:
        """Collects and writes the letters."""
        return (
            letters
            | beam.Map(lambda letter: (0, letter)).with_output_types(tuple[int, str])
            | beam.GroupByKey()
            | beam.Map(_write_letters, self._folder)
        )


def _write_letters(group: tuple[int, Iterable[str]], folder: str) -> None:
    text = "".join(letter + "\n" for letter in sorted_letters(group[1]))
    (Path(folder) / f"{DEAD}.jsonl").write_text(text, encoding="utf-8")


def sorted_letters(letters: Iterable[str]) -> list[str]:
    """Dead letters in the order of file and row."""
    return sorted(letters, key=lambda letter: tuple(json.loads(letter).values()))


def letter_of(source: int, files: Sequence[str], column: str, reason: str) -> str:
    """A dead letter for a row that a later step left out."""
    file = files[source >> _SOURCE_ROW_BITS]
    row = source & ((1 << _SOURCE_ROW_BITS) - 1)
    return json.dumps(dataclasses.asdict(tables.DeadLetter(file, row, column, reason)))


def files_of(schema: Schema, name: str) -> list[str]:
    """The files of a table in the order that sources number them."""
    pieces = tables.parts(getattr(schema, name), schema.folder)
    return list(dict.fromkeys(piece.file for piece in pieces))


def count(name: str, amount: int = 1) -> None:
    """Adds to a counter of the job."""
    if amount:
        Metrics.counter("tfmm", name).inc(int(amount))


def finished(pipeline: beam.Pipeline) -> dict[str, int]:
    """Runs the pipeline to its end; returns its counters by name.

    Raises:
        TfmmError: If a step raised one; runners wrap it in tracebacks of their own.
    """
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:
        if taught := _TAUGHT.search(f"{type(error).__qualname__}: {error}"):
            raise TfmmError(taught.group(1)) from error
        raise
    found = result.metrics().query(MetricsFilter().with_namespace("tfmm"))["counters"]
    return {c.key.metric.name: c.committed for c in sorted(found, key=str)}


def table_counts(found: dict[str, int], name: str) -> dict[str, Any]:
    """`read`, `written` and `dropped` of a table, from the job's counters.

    `written` is what remains of `read` after all that was dropped with a reason.
    """
    prefix = f"{name}:dropped:"
    dropped = {
        key.removeprefix(prefix): value
        for key, value in sorted(found.items())
        if key.startswith(prefix)
    }
    read = found.get(f"{name}:read", 0)
    return {"read": read, "written": read - sum(dropped.values()), "dropped": dropped}


def to_bytes(table: pa.Table) -> bytes:
    """A table as one Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def to_table(data: bytes) -> pa.Table:
    """The inverse of `to_bytes`."""
    return pa.ipc.open_stream(data).read_all()


def joined(chunks: Iterable[bytes]) -> pa.Table | None:
    """Chunks as one table; `None` when there are none."""
    found = [to_table(chunk) for chunk in chunks]
    return pa.concat_tables(found) if found else None


def by_shard(
    table: pa.Table, keys: np.ndarray, shards: int
) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each shard: a row's shard is its key modulo `shards`."""
    shard = keys % shards
    for number in np.unique(shard).tolist():
        yield number, table.filter(pa.array(shard == number))
