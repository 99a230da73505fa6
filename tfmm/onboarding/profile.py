"""What a bounded sample of a table's rows says about its columns."""

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfmm import table_files
from tfmm.column_values import missing_as_null
from tfmm.errors import TfmmError
from tfmm.onboarding.column import Column, is_bytes
from tfmm.onboarding.text_types import guessed

SAMPLE_ROWS = 20_000
_MEDIA_ROWS = 64
_ROW_GROUPS = 8
SUFFIXES = (".parquet", ".csv", ".jsonl", ".json")


@dataclasses.dataclass(frozen=True)
class Profile:
    """A table's files and a sample of them.

    Args:
        name: What the files are called.
        files: The files, all with the same columns.
        columns: The columns by name.
        sample: Sampled rows of all columns but bytes.
    """

    name: str
    files: tuple[Path, ...]
    columns: dict[str, Column]
    sample: pa.Table


def find_files(given: Iterable[str | Path]) -> list[Path]:
    """The table files among files and folders, folders with all below them.

    Raises:
        TfmmError: If a path does not exist, has another suffix, or nothing is found.
    """
    found: list[Path] = []
    for path in map(Path, given):
        if path.is_dir():
            inside = (p for p in sorted(path.rglob("*")) if p.suffix in SUFFIXES)
            files = (p for p in inside if p.is_file() and p.name != "manifest.json")
            found += [p for p in files if not p.name.startswith((".", "_"))]
        elif not path.is_file():
            raise TfmmError(f"There is no file `{path}`. Correct the path.")
        elif path.suffix.lower() not in SUFFIXES:
            raise TfmmError(
                f"`{path}` is no table that can be read. Expected: one of "
                f"{', '.join(SUFFIXES)}. Received: {path.suffix!r}. Convert it."
            )
        else:
            found.append(path)
    if not found:
        raise TfmmError(
            "No table was found. Expected: .parquet, .csv or .jsonl files. Received: "
            f"{', '.join(map(str, given)) or 'no path'}. Name the files of your tables."
        )
    return list(dict.fromkeys(found))


def profiles(files: Sequence[Path]) -> list[Profile]:
    """One profile a table; files that differ in a number alone are one table.

    Raises:
        TfmmError: If a file cannot be read or has no rows.
    """
    groups: dict[tuple[object, ...], list[Path]] = {}
    samples: dict[Path, pa.Table] = {}
    for file in files:
        samples[file] = _sample(file)
        shape = re.sub(r"\d+", "*", file.stem)
        key = (file.parent, shape, file.suffix, tuple(samples[file].column_names))
        groups.setdefault(key, []).append(file)
    return [_profile(group, samples[group[0]]) for group in groups.values()]


def _profile(files: list[Path], sample: pa.Table) -> Profile:
    columns = {}
    for name in sample.column_names:
        values = missing_as_null(sample[name].combine_chunks(), "text")
        if is_bytes(values.type):
            values = values[:_MEDIA_ROWS]
        columns[name] = Column(name, values.drop_null(), values.null_count)
    stem = re.sub(r"[\d*]+", "", files[0].stem).strip("-_. ")
    name = stem if len(stem) > 2 and "part" not in stem else files[0].parent.name
    return Profile(name, tuple(files), columns, sample)


def _sample(file: Path) -> pa.Table:
    table_files.inspect(str(file))
    try:
        parquet = file.suffix.lower() == ".parquet"
        table = _parquet_sample(file) if parquet else _text_sample(file)
    except (pa.ArrowException, OSError) as error:
        raise TfmmError(
            f"`{file}` cannot be read. Expected: a table with rows. Received: {error}. "
            "Replace it or leave it out."
        ) from error
    if not table.num_rows:
        raise TfmmError(
            f"`{file}` has no rows. Expected: at least one. Received: 0. Leave it out."
        )
    return table


def _parquet_sample(file: Path) -> pa.Table:
    """Rows from groups spread over the file, pictures from the first alone."""
    source = pq.ParquetFile(file)
    groups = source.num_row_groups
    if not groups:
        return source.schema_arrow.empty_table()
    step = max(1, groups // _ROW_GROUPS)
    chosen = list(range(0, groups, step))[:_ROW_GROUPS]
    each = SAMPLE_ROWS // len(chosen)
    media = [f.name for f in source.schema_arrow if is_bytes(f.type)]
    light = [name for name in source.schema_arrow.names if name not in media]
    parts = [_head(source, group, light, each) for group in chosen]
    table = pa.concat_tables(parts)
    if media:
        heavy = _head(source, chosen[0], media, _MEDIA_ROWS)
        for name in media:
            filler = pa.nulls(table.num_rows - heavy.num_rows, heavy[name].type)
            chunks = [*heavy[name].chunks, filler]
            table = table.append_column(name, pa.chunked_array(chunks))
        table = table.select(source.schema_arrow.names)
    return table


def _head(
    source: pq.ParquetFile, group: int, columns: list[str], rows: int
) -> pa.Table:
    batches = source.iter_batches(rows, row_groups=[group], columns=columns)
    first = next(batches, None)
    if first is None:
        return source.schema_arrow.empty_table().select(columns)
    return pa.Table.from_batches([first])


def _text_sample(file: Path) -> pa.Table:
    """The first rows as the jobs read them; rows that are no rows are left out."""
    parts: list[pa.Table] = []
    for chunk in table_files.chunks(table_files.Part(str(file)), None, SAMPLE_ROWS):
        parts.append(chunk)
        if sum(part.num_rows for part in parts) >= SAMPLE_ROWS:
            break
    table = pa.concat_tables(parts).slice(0, SAMPLE_ROWS)
    empty = [column.is_null() for column in table.columns]
    table = table.filter(pc.invert(functools.reduce(pc.and_, empty)))
    typed = [guessed(column.combine_chunks()) for column in table.columns]
    return pa.table(typed, names=table.column_names)
