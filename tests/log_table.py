"""A log of three rows in every format, and all that is read of a table."""

import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tfmm.schema import Impressions
from tfmm.tables import parts, read

LOG = {
    "u": ["7", "8", "9"],
    "i": ["x", "y", "z"],
    "t": [1, 2, 3],
    "c": [0, 1, 0],
    "p": [1.5, 2.5, None],
}


def impressions(files):
    return Impressions(
        files=files,
        user="u",
        item="i",
        time="t",
        labels=["c"],
        features={"p": "numeric"},
    )


def write(path, columns):
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(pa.table(columns), path)
    else:
        values = zip(*columns.values(), strict=True)
        rows = [dict(zip(columns, row, strict=True)) for row in values]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def everything(table, folder, unit="s", roles=None):
    """All good rows as lists, and all dead letters as (row, column, reason)."""
    chunks, letters = [], []
    for part in parts(table, folder):
        for chunk, left_out in read(table, part, unit, roles):
            chunks.append(chunk)
            letters += [(x.row, x.column, x.reason) for x in left_out]
    return pa.concat_tables(chunks).to_pydict(), letters
