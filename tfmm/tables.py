"""Reads a shop's tables in chunks, every column under the name of its role.

Types by role: `id`, `text` and `category` become strings, `number` float64, `time`
int64 microseconds, `ids` and `texts` lists of strings, `media` stays bytes or text (a
path or URI) and `medias` lists of them.
An event's type, a supplied part and a categorical feature are categories: like ids,
they have no control characters; empty, they are missing.
A value that cannot be read makes its row a dead letter; a column in which nothing can
be read, a missing column or an unreadable file is an error.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfmm import file_names, table_files
from tfmm.column_values import EXPECTED, convert, missing_as_null
from tfmm.errors import TfmmError
from tfmm.schema import Table
from tfmm.table_files import Part

Roles = dict[str, tuple[str, str, bool]]


@dataclasses.dataclass(frozen=True)
class DeadLetter:
    """A row that was left out, by place and reason, never by its content."""

    file: str
    row: int
    column: str
    reason: str


def files(table: Table, folder: Path) -> list[str]:
    """The table's files, those of a glob by name.

    Raises:
        TfmmError: If a path or glob finds none.
    """
    patterns = [table.files] if isinstance(table.files, str) else table.files
    return [x for pattern in patterns for x in file_names.matching(pattern, folder)]


def facts(file: str) -> file_names.Facts:
    """Bytes and time of the last change of a table's file; `None` without it."""
    return file_names.facts(file)


def parts(table: Table, folder: Path) -> list[Part]:
    """The table's pieces, checked: every file opens and has every column.

    Raises:
        TfmmError: For a missing or unreadable file, a missing column or no rows.
    """
    found = []
    for file in files(table, folder):
        names, pieces = table_files.inspect(file)
        for role, (column, kind, _) in table.columns().items():
            if column not in names:
                raise TfmmError(
                    f"`{file}` lacks the column `{column}` ({role.split(':')[0]}). "
                    f"Expected: a column of {EXPECTED[kind]}. Received: the columns "
                    f"{', '.join(names)}. Correct the schema or the file."
                )
        found += pieces
    if not found:
        raise TfmmError(
            f"`{table.files}` has no rows. Expected: at least one. Received: 0 rows. "
            "Fill the table, or take it out of the schema."
        )
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
    for chunk in table_files.chunks(part, columns):
        yield _canonical(chunk, wanted, part.file, first, time_unit)
        first += chunk.num_rows


def within(
    table: Table,
    pieces: Sequence[Part],
    time_unit: str,
    since: int | None,
    until: int | None,
) -> list[Part]:
    """The pieces that may have rows of a stretch of time, as far as their files say.

    Args:
        table: The table, with a role `time`.
        pieces: What `parts` named.
        time_unit: Unit of integer times: `s`, `ms` or `us`.
        since: First moment of the stretch, microseconds; `None` without one.
        until: Its end, exclusive; `None` without one.
    """
    column = table.columns()["time"][0]
    files = dict.fromkeys(piece.file for piece in pieces if piece.row_group is not None)
    bounds = {file: table_files.bounds(file, column) for file in files}

    def may_have(piece: Part) -> bool:
        found = None
        if piece.row_group is not None:
            found = bounds[piece.file][piece.row_group]
        # Texts are in another order than the moments that they say.
        if found is None or not _is_ordered(found.type):
            return True
        moments = convert(found, "time", time_unit)
        if moments.null_count:
            return True
        first, last = moments.to_pylist()
        return (until is None or first < until) and (since is None or last >= since)

    return list(filter(may_have, pieces))


def _is_ordered(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_temporal(kind)


def times(table: Table, folder: Path, time_unit: str) -> Iterator[np.ndarray]:
    """The moments of a table's good rows, chunk by chunk: int64 microseconds."""
    for part in parts(table, folder):
        for chunk, _ in read(table, part, time_unit, ["time"]):
            yield chunk["time"].to_numpy()


def holds_integers(table: Table, folder: Path, role: str) -> bool:
    """Whether the role's column holds integers in every file."""
    column = table.columns()[role][0]
    return all(table_files.is_integer(file, column) for file in files(table, folder))


def _canonical(
    chunk: pa.Table, wanted: Roles, file: str, first_row: int, time_unit: str
) -> tuple[pa.Table, list[DeadLetter]]:
    good = np.ones(chunk.num_rows, bool)
    letters: list[DeadLetter] = []
    columns: dict[str, pa.Array] = {}
    for role, (column, kind, required) in wanted.items():
        kind = _kind(role, kind)
        raw = _raw(chunk, column, kind)
        values = convert(raw, kind, time_unit)
        unread = _mask(pc.and_(raw.is_valid(), values.is_null()))
        # Later chunks may be short, and a bad value in them is no bad column.
        if first_row == 0:
            _check_readable(raw, unread, file, column, kind)
        for bad, reason in (
            (unread, f"not_{kind}"),
            (_mask(raw.is_null()) & required, f"no_{role.split(':')[0]}"),
        ):
            letters += [
                DeadLetter(file, first_row + row, column, reason)
                for row in np.flatnonzero(bad & good).tolist()
            ]
            good &= ~bad
        columns[role] = values
    columns["row"] = pa.array(np.arange(first_row, first_row + chunk.num_rows))
    table = pa.table(columns)
    return table if good.all() else table.filter(pa.array(good)), letters


def _kind(role: str, declared: str) -> str:
    """The kind of a role's values: what the schema declares, made exact."""
    if role.startswith("label:"):
        return "label"
    if declared == "text" and (role in ("type", "part") or ":" in role):
        return "category"
    return declared


def _raw(chunk: pa.Table, column: str, kind: str) -> pa.Array:
    raw = chunk[column].combine_chunks() if column in chunk.column_names else None
    if raw is None or pa.types.is_null(raw.type):
        return pa.nulls(chunk.num_rows, pa.string())
    return missing_as_null(raw, kind)


def _check_readable(
    raw: pa.Array, unread: np.ndarray, file: str, column: str, kind: str
) -> None:
    if unread.any() and unread.sum() == raw.is_valid().true_count:
        received = str(raw.type)
        if kind in ("number", "label", "time"):  # Others may hold personal data.
            example = raw.filter(pa.array(unread))[0].as_py()
            received += f", for instance {str(example)[:60]!r}"
        raise TfmmError(
            f"`{file}`, column `{column}`: none of the first values can be read. "
            f"Expected: {EXPECTED[kind]}. Received: {received}. Correct the schema or "
            "the file."
        )


def _mask(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False)
