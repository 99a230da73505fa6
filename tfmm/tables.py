"""Reads a shop's tables in chunks, every column under the name of its role.

Types by role: `id` and `text` become strings, `number` float64, `time` int64
microseconds, `ids` lists of strings, `media` stays bytes or text (a path or URI).
A value that cannot be read makes its row a dead letter; a column in which nothing can
be read, a missing column or an unreadable file is an error.
"""

import dataclasses
import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.fs
import pyarrow.json
import pyarrow.parquet as pq

from tfmm.errors import TfmmError
from tfmm.schema import Table

CHUNK_ROWS = 65_536
_UNIT_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}
_EXPECTED = {
    "id": "text or whole numbers",
    "text": "text",
    "number": "numbers",
    "label": "0 or 1",
    "time": "timestamps, ISO texts or numbers",
    "ids": "lists of ids, or ids joined by |",
    "media": "bytes, or paths as text",
}


@dataclasses.dataclass(frozen=True)
class Part:
    """One piece of a table that can be read on its own.

    Args:
        file: Path or URI.
        first_row: Number of the piece's first row in the file.
        row_group: Parquet row group; `None` for a whole CSV or JSON lines file.
    """

    file: str
    first_row: int = 0
    row_group: int | None = None


@dataclasses.dataclass(frozen=True)
class DeadLetter:
    """A row that was left out, by place and reason, never by its content."""

    file: str
    row: int
    column: str
    reason: str


def parts(table: Table, folder: Path) -> list[Part]:
    """The table's pieces, checked: every file opens and has every column.

    Raises:
        TfmmError: For a missing or unreadable file or a missing column.
    """
    found = []
    for file in _files(table.files, folder):
        names, pieces = _inspect(file)
        for role, (column, kind, _) in table.columns().items():
            if column not in names:
                raise TfmmError(
                    f"`{file}` lacks the column `{column}` ({role.split(':')[0]}). "
                    f"Expected: a column of {_EXPECTED[kind]}. Received: the columns "
                    f"{', '.join(names)}. Correct the schema or the file."
                )
        found += pieces
    return found


def read(
    table: Table, part: Part, time_unit: str, roles: Sequence[str] | None = None
) -> Iterator[tuple[pa.Table, list[DeadLetter]]]:
    """Yields chunks of a piece: columns named by role, and the rows left out.

    Args:
        table: The table's roles.
        part: A piece that `parts` named.
        time_unit: Unit of integer times: `s`, `ms` or `us`.
        roles: Which roles to read; all when absent.

    Yields:
        Good rows as a table with the further column `row` (int64, row number in the
        file), and a dead letter for each other row.
    """
    wanted = {
        role: fact
        for role, fact in table.columns().items()
        if roles is None or role in roles
    }
    columns = list(dict.fromkeys(column for column, _, _ in wanted.values()))
    first = part.first_row
    for chunk in _chunks(part, columns):
        yield _canonical(chunk, wanted, part.file, first, time_unit)
        first += chunk.num_rows


def holds_integers(table: Table, folder: Path, role: str) -> bool:
    """Whether the role's column holds integers in every file."""
    column = table.columns()[role][0]
    return all(_is_integer(file, column) for file in _files(table.files, folder))


def _files(files: str | list[str], folder: Path) -> list[str]:
    found: list[str] = []
    for pattern in [files] if isinstance(files, str) else files:
        if "://" in pattern:
            found.append(pattern)
            continue
        path = str(folder / pattern)
        matches = [path] if Path(path).is_file() else sorted(glob.glob(path))
        if not matches:
            raise TfmmError(
                f"There is no file `{path}`. Expected: a .parquet, .csv or .jsonl "
                "file, or a glob that finds some. Correct `files` in the schema."
            )
        found += matches
    return found


def _format(file: str) -> str:
    suffix = Path(file).suffix.lower()
    if suffix not in _SUFFIXES:
        raise TfmmError(
            f"`{file}` has an unknown suffix. Expected: one of "
            f"{', '.join(_SUFFIXES)}. Received: {suffix!r}. Rename or convert it."
        )
    return _SUFFIXES[suffix]


def _inspect(file: str) -> tuple[list[str], list[Part]]:
    """Column names and pieces of a file."""
    kind = _format(file)
    with _taught(file, kind):
        if kind == "parquet":
            with _open(file) as source:
                meta = pq.ParquetFile(source)
                rows = [
                    meta.metadata.row_group(i).num_rows
                    for i in range(meta.num_row_groups)
                ]
                names = meta.schema_arrow.names
            starts = np.cumsum([0, *rows])
            return names, [Part(file, int(starts[i]), i) for i in range(len(rows))]
        return next(_text_chunks(file, None)).column_names, [Part(file)]


def _is_integer(file: str, column: str) -> bool:
    kind = _format(file)
    if kind == "parquet":
        with _open(file) as source:
            return pa.types.is_integer(pq.read_schema(source).field(column).type)
    with _open(file) as source:
        if kind == "csv":
            chunk = pyarrow.csv.open_csv(source).read_next_batch()
            return pa.types.is_integer(chunk.schema.field(column).type)
    return pa.types.is_integer(next(_text_chunks(file, None)).schema.field(column).type)


def _chunks(part: Part, columns: list[str]) -> Iterator[pa.Table]:
    kind = _format(part.file)
    with _taught(part.file, kind):
        if kind == "parquet":
            with _open(part.file) as source:
                batches = pq.ParquetFile(source).iter_batches(
                    CHUNK_ROWS, row_groups=[part.row_group], columns=columns
                )
                yield from (pa.Table.from_batches([batch]) for batch in batches)
        else:
            yield from _text_chunks(part.file, columns)


def _text_chunks(file: str, columns: list[str] | None) -> Iterator[pa.Table]:
    with _open(file) as source:
        if _format(file) == "jsonl":
            table = pyarrow.json.read_json(source)
            table = table if columns is None else _with_columns(table, columns)
            yield from (
                table.slice(start, CHUNK_ROWS)
                for start in range(0, max(table.num_rows, 1), CHUNK_ROWS)
            )
            return
        names = pyarrow.csv.open_csv(source).schema.names
    # Everything as text, so that one bad value costs its row and not the file.
    convert = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        include_columns=columns,
        strings_can_be_null=True,
    )
    with _open(file) as source:
        for batch in pyarrow.csv.open_csv(source, convert_options=convert):
            yield pa.Table.from_batches([batch])


def _with_columns(table: pa.Table, columns: list[str]) -> pa.Table:
    return table.select([name for name in columns if name in table.column_names])


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
        if isinstance(error, pa.ArrowException | OSError):
            raise TfmmError(
                f"`{self._file}` cannot be read. Expected: a {self._kind} file with "
                f"rows. Received: {error}. Replace or remove it."
            ) from error


def _canonical(
    chunk: pa.Table,
    wanted: dict[str, tuple[str, str, bool]],
    file: str,
    first_row: int,
    time_unit: str,
) -> tuple[pa.Table, list[DeadLetter]]:
    good = np.ones(chunk.num_rows, bool)
    letters: list[DeadLetter] = []
    columns: dict[str, pa.Array] = {}
    for role, (column, kind, required) in wanted.items():
        kind = "label" if role.startswith("label:") else kind
        raw = chunk[column].combine_chunks() if column in chunk.column_names else None
        if raw is None or pa.types.is_null(raw.type):
            raw = pa.nulls(chunk.num_rows, pa.string())
        values = _convert(raw, kind, time_unit)
        unread = _mask(pc.and_(raw.is_valid(), values.is_null()))
        if len(unread) and unread.sum() == raw.is_valid().true_count > 0:
            example = raw.filter(raw.is_valid())[0].as_py()
            raise TfmmError(
                f"`{file}`, column `{column}`: no value of the rows from {first_row} "
                f"on can be read. Expected: {_EXPECTED[kind]}. Received: {raw.type}, "
                f"for instance {str(example)[:60]!r}. Correct the schema or the file."
            )
        for bad, reason in (
            (unread, f"not_{kind}"),
            (_mask(raw.is_null()) if required else None, f"no_{role.split(':')[0]}"),
        ):
            if bad is not None and bad.any():
                rows = np.flatnonzero(bad & good)
                letters += [
                    DeadLetter(file, first_row + int(row), column, reason)
                    for row in rows
                ]
                good &= ~bad
        columns[role] = values
    columns["row"] = pa.array(np.arange(first_row, first_row + chunk.num_rows))
    return pa.table(columns).filter(pa.array(good)), letters


def _mask(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False)


def _convert(raw: pa.Array, kind: str, time_unit: str) -> pa.Array:
    """The values in the kind's type; null where one cannot be read."""
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    if kind == "media":
        return raw if pa.types.is_binary(raw.type) else _text(raw)
    if kind == "ids":
        return _id_lists(raw)
    if kind == "id":
        text = _text(raw)
        # An id is a line of the vocabulary files that the export carries.
        odd = pc.match_substring_regex(text, r"^$|[\x00-\x1f\x7f]")
        return pc.if_else(pc.fill_null(odd, True), pa.scalar(None, pa.string()), text)
    if kind == "text":
        return _text(raw)
    if kind == "time":
        return _time(raw, _UNIT_MICROSECONDS[time_unit])
    numbers = _numbers(raw)
    if kind == "label":
        fits = pc.or_(pc.equal(numbers, 0.0), pc.equal(numbers, 1.0))
    else:
        fits = pc.is_finite(numbers)
    return pc.if_else(pc.fill_null(fits, False), numbers, pa.scalar(None, pa.float64()))


def _text(raw: pa.Array) -> pa.Array:
    if pa.types.is_binary(raw.type):
        return pa.array([_utf8(value) for value in raw.to_pylist()], pa.string())
    if pa.types.is_nested(raw.type):
        return pa.nulls(len(raw), pa.string())
    return pc.cast(raw, pa.string())


def _utf8(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def _numbers(raw: pa.Array) -> pa.Array:
    if pa.types.is_boolean(raw.type) or pa.types.is_decimal(raw.type):
        return pc.cast(raw, pa.float64())
    if pa.types.is_integer(raw.type) or pa.types.is_floating(raw.type):
        return pc.cast(raw, pa.float64(), safe=False)
    return _parsed(_text(raw), float, pa.float64())


def _time(raw: pa.Array, unit: int) -> pa.Array:
    if pa.types.is_temporal(raw.type):
        return _microseconds(pc.cast(raw, pa.timestamp("us"), safe=False))
    if pa.types.is_integer(raw.type):
        return pc.multiply(pc.cast(raw, pa.int64()), unit)
    if pa.types.is_floating(raw.type):
        return pc.cast(pc.multiply(raw, float(unit)), pa.int64(), safe=False)
    text = _text(raw)
    numbers = _parsed(text, int, pa.int64())
    return pc.coalesce(pc.multiply(numbers, unit), _iso_times(text))


def _iso_times(text: pa.Array) -> pa.Array:
    try:
        return _microseconds(pc.cast(text, pa.timestamp("us")))
    except pa.ArrowInvalid:
        times = [_iso_time(value) for value in text.to_pylist()]
        return pa.array(times, pa.int64())


def _iso_time(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        moment = pc.cast(pa.scalar(value), pa.timestamp("us", tz="UTC"))
        return moment.value
    except pa.ArrowInvalid:
        pass
    try:
        return pc.cast(pa.scalar(value), pa.timestamp("us")).value
    except pa.ArrowInvalid:
        return None


def _microseconds(times: pa.Array) -> pa.Array:
    return pc.cast(times, pa.int64())


def _parsed(text: pa.Array, parse: type, result: pa.DataType) -> pa.Array:
    try:
        return pc.cast(text, result)
    except pa.ArrowInvalid:
        return pa.array([_try(parse, value) for value in text.to_pylist()], result)


def _try(parse: type, value: str | None) -> Any:
    try:
        return parse(value) if value is not None else None
    except ValueError:
        return None


def _id_lists(raw: pa.Array) -> pa.Array:
    if pa.types.is_list(raw.type) or pa.types.is_large_list(raw.type):
        return pc.cast(raw, pa.list_(pa.string()))
    lists = pc.split_pattern(_text(raw), "|")
    return pc.if_else(
        pc.equal(_text(raw), ""), pa.scalar([], pa.list_(pa.string())), lists
    )
