"""What a bounded sample of a table's rows says about its columns."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from tfmm.errors import TfmmError
from tfmm.onboarding.column import Column, is_bytes

SAMPLE_ROWS = 20_000
_MEDIA_ROWS = 64
_TEXT_BYTES = 8_000_000
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
        values = sample[name].combine_chunks()
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
            values = values[:_MEDIA_ROWS]
        columns[name] = Column(name, values.drop_null(), values.null_count)
    stem = re.sub(r"[\d*]+", "", files[0].stem).strip("-_. ")
    name = stem if len(stem) > 2 and "part" not in stem else files[0].parent.name
    return Profile(name, tuple(files), columns, sample)


def _sample(file: Path) -> pa.Table:
    try:
        if file.suffix == ".parquet":
            table = _parquet_sample(file)
        elif file.suffix == ".csv":
            table = _csv_sample(file)
        else:
            table = _jsonl_sample(file)
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


def _csv_sample(file: Path) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    with pyarrow.csv.open_csv(file) as reader:
        schema = reader.schema
        try:
            while sum(b.num_rows for b in batches) < SAMPLE_ROWS:
                batches.append(reader.read_next_batch())
        except (StopIteration, pa.ArrowInvalid):
            pass  # a type that changes later on; the first block tells enough
    return pa.Table.from_batches(batches, schema)


def _jsonl_sample(file: Path) -> pa.Table:
    with file.open("rb") as source:
        data = source.read(_TEXT_BYTES)
        whole = not source.read(1)
    if not whole:
        data = data[: data.rfind(b"\n") + 1]
    return pyarrow.json.read_json(pa.BufferReader(data)).slice(0, SAMPLE_ROWS)
