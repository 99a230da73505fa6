"""A made-up shop with a log of some size, and what the log's jobs need of it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shop

from beam_jobs import item_index, vocabularies

USERS, ITEMS, SECONDS = 2_000, 300, 86_400
SCHEMA = {
    "items": {"files": "items.parquet", "id": "id", "title": "title"},
    "impressions": shop.LOG | {"files": "impressions-*.parquet", "labels": ["click"]},
    "events": {
        "files": "events.parquet",
        "user": "user",
        "item": "item",
        "time": "time",
    },
    "searches": None,
    "users": None,
    "history": {"label": "click", "max_length": 50},
    "requests": {"max_items": 10},
    "split": {"rule": "global_time", "test_from": SECONDS * 3 // 4},
}


def write(folder, rows, files=4, spoiled=True):
    """Writes the shop, some times spoiled if wanted; returns its schema's path."""
    rng = np.random.default_rng(0)
    ids = [f"i{n}" for n in range(ITEMS)]
    schema = shop.write(
        folder,
        {"items": {"id": ids, "title": ids}, "events": _rows(rng, rows // 5, spoiled)},
        **SCHEMA,
    )
    for number in range(files):
        count = rows // files
        columns = _rows(rng, count, spoiled) | {"click": rng.integers(0, 2, count)}
        path = Path(folder) / f"impressions-{number}.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=max(1, count // 2))
    return schema


def prepare(schema, out):
    """Index, vocabularies and key; returns the arguments of `behaviours`."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "key").write_bytes(shop.KEY)
    given = {"schema": str(schema), "index": str(out / "index")}
    item_index.run(str(schema), str(out / "index"), control=shop.ANY_BAD)
    given |= {"key_file": str(out / "key")}
    vocabularies.run(**given, output=str(out / "vocabularies"), control=shop.ANY_BAD)
    return given | {"vocabularies": str(out / "vocabularies")}


def typed(arguments):
    """Arguments as a command line."""
    return [
        part for name, value in arguments.items() for part in (f"--{name}", str(value))
    ]


def _rows(rng, rows, spoiled):
    times = rng.integers(0, SECONDS, rows)
    if spoiled:
        times = times.astype(str)
        times[5::200] = "late"
    return {
        "user": rng.integers(0, USERS, rows).astype(str),
        "item": [f"i{n}" for n in rng.integers(0, ITEMS, rows)],
        "time": times,
    }
