"""CSV files in blocks of text; a damaged row costs itself and keeps its number."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

# Arrow counts a file's rows from 1, the header's.
_FIRST_ROW = 2

Open = Callable[[], Any]


def guessed_schema(opened: Open) -> pa.Schema:
    """The columns, with the types that the first rows suggest."""
    with opened() as source:
        return _reader(source, None, []).schema


def chunks(opened: Open, columns: list[str] | None) -> Iterator[pa.Table]:
    """The rows as text, block by block, at least one block.

    A row with too few or too many values, or with bytes that are not UTF-8, is a row
    of nulls.

    Args:
        opened: Opens the file.
        columns: Columns to read; all when absent.
    """
    options = pyarrow.csv.ConvertOptions(
        column_types={name: pa.binary() for name in guessed_schema(opened).names},
        include_columns=columns,
        strings_can_be_null=True,
        null_values=[""],
    )
    left_out: list[int] = []
    first = 0
    with opened() as source:
        reader = _reader(source, options, left_out)
        nothing = pa.RecordBatch.from_pylist([], reader.schema)
        for number, batch in enumerate(itertools.chain(reader, [nothing])):
            batch = _with_gaps(batch, first, left_out)
            first += batch.num_rows
            if batch.num_rows or not number:
                yield _decoded(batch)


def _reader(
    source: Any, options: pyarrow.csv.ConvertOptions | None, left_out: list[int]
) -> pyarrow.csv.CSVStreamingReader:
    """Reads blocks; adds the numbers of the rows of another width to `left_out`."""

    def leave_out(row: pyarrow.csv.InvalidRow) -> str:
        left_out.append(row.number - _FIRST_ROW)
        return "skip"

    return pyarrow.csv.open_csv(
        source,
        # Several threads could not number the rows.
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(
            newlines_in_values=True, invalid_row_handler=leave_out
        ),
        convert_options=options,
    )


def _with_gaps(
    batch: pa.RecordBatch, first: int, left_out: list[int]
) -> pa.RecordBatch:
    """The batch with nulls in place of rows left out, which are taken off the list."""
    rows = batch.num_rows
    before = np.array(left_out, np.int64) - first - np.arange(len(left_out))
    before = before[before <= rows]
    del left_out[: len(before)]
    places = np.insert(np.arange(rows), before, -1)
    return _taken(batch, places >= 0, places) if len(before) else batch


def _decoded(batch: pa.RecordBatch) -> pa.Table:
    """Bytes as text; nulls in rows with bytes that are not UTF-8."""
    try:
        texts = [pc.cast(column, pa.string()) for column in batch.columns]
    except pa.ArrowInvalid:
        values = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        good = np.array([all(map(_is_utf8, row)) for row in values])
        return _decoded(_taken(batch, good, np.arange(batch.num_rows)))
    return pa.Table.from_arrays(texts, batch.schema.names)


def _taken(
    batch: pa.RecordBatch, good: np.ndarray, places: np.ndarray
) -> pa.RecordBatch:
    return batch.take(pa.array(places, pa.int64(), mask=~good))


def _is_utf8(value: bytes | None) -> bool:
    try:
        return value is None or value.decode() is not None
    except UnicodeDecodeError:
        return False
