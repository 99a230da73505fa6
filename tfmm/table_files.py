"""Parquet, CSV and JSON lines files: their columns, their pieces, their chunks."""

import dataclasses
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from tfmm import csv_rows
from tfmm.errors import TfmmError

CHUNK_ROWS = 65_536
# Of a Parquet chunk, as far as the file's own sizes tell.
_CHUNK_BYTES = 32 << 20
_BUFFER_BYTES = 4 << 20
_JUDGED_BYTES = 1 << 20
_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}


@dataclasses.dataclass(frozen=True)
class Part:
    """One piece of a table that can be read on its own.

    Args:
        file: Path or URI.
        first_row: Number of the piece's first row in the file.
        row_group: Parquet row group; `None` for a whole CSV or JSON lines file.
        rows: Its rows; of a CSV or JSON lines file about as many, by its size and the
            first of them.
    """

    file: str
    first_row: int = 0
    row_group: int | None = None
    rows: int = 0


def inspect(file: str) -> tuple[list[str], list[Part]]:
    """Column names of a file, and its pieces; a file without rows has none.

    Raises:
        TfmmError: If the file cannot be read, has an unknown suffix, or two columns
            of one name.
    """
    kind = _format(file)
    with _taught(file, kind):
        read = _inspect_parquet if kind == "parquet" else _inspect_text
        names, pieces = read(file)
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise TfmmError(
            f"`{file}` has several columns of one name. Expected: a name of its own "
            f"for every column. Received: {', '.join(map(repr, repeated))} more than "
            "once. Rename all but one of them."
        )
    return names, pieces


def chunks(
    part: Part, columns: list[str] | None, rows: int | None = None
) -> Iterator[pa.Table]:
    """The piece's rows, chunk by chunk, with those of the columns that it has.

    CSV columns are all text, so that one bad value costs its row and not the file. A
    line that is no JSON object, a CSV row with too few or too many values and one with
    bytes that are not UTF-8 yield a row of nulls.

    Args:
        part: The piece.
        columns: Columns to read; all when absent.
        rows: Most rows of a Parquet or JSON lines chunk; `CHUNK_ROWS` when absent.
            Of rows that hold pictures, a Parquet chunk has fewer.

    Raises:
        TfmmError: If the file is damaged.
    """
    kind = _format(part.file)
    with _taught(part.file, kind):
        if kind != "parquet":
            yield from _text_chunks(part.file, columns, rows or CHUNK_ROWS)
            return
        with _open(part.file) as source:
            yield from _parquet_chunks(source, part, columns, rows or CHUNK_ROWS)


def bounds(file: str, column: str) -> list[pa.Array | None]:
    """The least and the greatest value of a column in every row group of a file.

    Args:
        file: Path or URI.
        column: The column.

    Returns:
        Per row group two values of the column's type, `None` where the file keeps
        none; an empty list for a CSV or JSON lines file.

    Raises:
        TfmmError: If the file cannot be read.
    """
    if _format(file) != "parquet":
        return []
    with _taught(file, "parquet"), _open(file) as source:
        opened = pq.ParquetFile(source)
        field = opened.schema_arrow.field(column)
        place = opened.schema_arrow.names.index(column)
        footer = opened.metadata
    # Nested columns before it have several places each.
    if footer.num_columns != len(opened.schema_arrow.names):
        return [None] * footer.num_row_groups
    groups = (footer.row_group(i).column(place) for i in range(footer.num_row_groups))
    return [
        pa.array([found.min, found.max], field.type)
        if (found := group.statistics) is not None and found.has_min_max
        else None
        for group in groups
    ]


def is_integer(file: str, column: str) -> bool:
    """Whether the column's values, or the first of them, are integers."""
    kind = _format(file)
    with _taught(file, kind):
        if kind == "parquet":
            with _open(file) as source:
                schema = pq.read_schema(source)
        elif kind == "csv":
            schema = csv_rows.guessed_schema(lambda: _open(file))
        else:
            schema = next(_json_chunks(file, CHUNK_ROWS)).schema
    return pa.types.is_integer(schema.field(column).type)


def _format(file: str) -> str:
    suffix = Path(file).suffix.lower()
    if suffix not in _SUFFIXES:
        raise TfmmError(
            f"`{file}` has an unknown suffix. Expected: one of "
            f"{', '.join(_SUFFIXES)}. Received: {suffix!r}. Rename or convert it."
        )
    return _SUFFIXES[suffix]


def _inspect_parquet(file: str) -> tuple[list[str], list[Part]]:
    with _open(file) as source:
        meta = pq.ParquetFile(source)
        groups = range(meta.num_row_groups)
        sizes = [meta.metadata.row_group(group).num_rows for group in groups]
        names = meta.schema_arrow.names
    starts = np.cumsum([0, *sizes]).tolist()
    pieces = [Part(file, starts[i], i, size) for i, size in enumerate(sizes) if size]
    return names, pieces


def _parquet_chunks(
    source: Any, part: Part, columns: list[str] | None, rows: int
) -> Iterator[pa.Table]:
    """Rows of a row group; one that is large is not read whole before its first."""
    footer = pq.read_metadata(source)
    group = footer.row_group(part.row_group)
    size = sum(
        group.column(i).total_uncompressed_size
        for i in range(group.num_columns)
        if columns is None or group.column(i).path_in_schema.split(".")[0] in columns
    )
    fitting = max(1, _CHUNK_BYTES * group.num_rows // max(1, size))
    whole = size <= _CHUNK_BYTES
    file = pq.ParquetFile(
        source,
        metadata=footer,
        pre_buffer=whole,
        buffer_size=0 if whole else _BUFFER_BYTES,
    )
    batches = file.iter_batches(
        min(rows, fitting), row_groups=[part.row_group], columns=columns
    )
    yield from (pa.Table.from_batches([batch]) for batch in batches)


def _inspect_text(file: str) -> tuple[list[str], list[Part]]:
    first = next(_text_chunks(file, None, CHUNK_ROWS), None)
    if first is None:
        raise pa.ArrowInvalid("a file without rows")
    pieces = [Part(file, rows=_about_rows(file))] if first.num_rows else []
    return first.column_names, pieces


def _about_rows(file: str) -> int:
    """Rows of a text file, judged by the lines of its beginning."""
    with _open(file) as source:
        size, seen = source.size(), source.read(_JUDGED_BYTES)
    header = _format(file) == "csv"
    lines = seen.count(b"\n") + (not seen.endswith(b"\n"))
    return max(1, round((lines - header) * size / len(seen)))


def _text_chunks(file: str, columns: list[str] | None, rows: int) -> Iterator[pa.Table]:
    if _format(file) == "csv":
        yield from csv_rows.chunks(lambda: _open(file), columns)
        return
    for chunk in _json_chunks(file, rows):
        known = columns or chunk.column_names
        yield chunk.select([name for name in known if name in chunk.column_names])


def _json_chunks(file: str, size: int) -> Iterator[pa.Table]:
    with _open(file) as source:
        lines = (line for line in io.BufferedReader(source) if line.strip())
        while rows := [_json_object(x) for x in itertools.islice(lines, size)]:
            names = dict.fromkeys(name for row in rows for name in row)
            yield pa.table(
                {name: _array([row.get(name) for row in rows]) for name in names}
                or {"": pa.nulls(len(rows))}
            )


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _array(values: list[Any]) -> pa.Array:
    """The values in one type; values of several types as text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        texts = [
            x if isinstance(x, str) or x is None else json.dumps(x) for x in values
        ]
        return pa.array(texts, pa.string())


def _open(file: str) -> Any:
    if "://" in file:
        filesystem, path = pyarrow.fs.FileSystem.from_uri(file)
        return filesystem.open_input_file(path)
    return pa.OSFile(file, "rb")


class _taught:
    """Turns Arrow's errors into one that names the file."""

    def __init__(self, file: str, kind: str) -> None:
        self._file, self._kind = file, kind

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, pa.ArrowException | OSError | UnicodeDecodeError):
            raise TfmmError(
                f"`{self._file}` cannot be read. Expected: a {self._kind} file with "
                f"rows. Received: {error}. Replace or remove it."
            ) from error
