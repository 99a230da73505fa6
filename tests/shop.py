"""Tiny shops for tests: tables in, jobs run, records out."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from beam_jobs.job import Control
from tfmm.records.example import decode
from tfmm.records.tfrecord import read_records

PLANTED_USER, PLANTED_QUERY = "plantedshopper", "plantedquery"
# Tiny tables with a bad row have a large share of them.
ANY_BAD = Control(max_bad_fraction=1)
KEY = b"0123456789abcdef"
LOG = {"files": "impressions.parquet", "user": "user", "item": "item", "time": "time"}
SCHEMA = {
    "name": "tiny",
    "items": {
        "files": "items.parquet",
        "id": "id",
        "title": "title",
        "image": "image",
        "features": {"color": "categorical", "price": "numeric"},
    },
    "impressions": LOG
    | {
        "labels": ["click"],
        "request": "request",
        "position": "position",
        "context": {"hour": "categorical"},
        "features": {"discount": "numeric"},
    },
    "events": {
        "files": "events.parquet",
        "user": "user",
        "item": "item",
        "time": "time",
        "type": "type",
    },
    "searches": {
        "files": "searches.parquet",
        "time": "time",
        "bought": "bought",
        "query_text": "text",
        "query_image": "picture",
        "clicked": "clicked",
    },
    "users": {
        "files": "users.parquet",
        "id": "user",
        "features": {"age": "categorical", "income": "numeric"},
    },
    "history": {"label": "click", "max_length": 2},
    "requests": {"max_items": 2},
    "media": {"image_size": 16},
    "split": {"rule": "global_time", "test_from": 300},
}
# u1's behaviours in order: click a (100), cart c (150), click b (200), view c (200).
# Request r2 (200) knows the first two; r3 (300, the test) all, and keeps the last two.
TABLES = {
    "items": {
        "id": ["a", "b", "c"],
        "title": ["Red shoe", "", "Blue hat"],
        "image": pa.array([None, None, None], pa.binary()),
        "color": ["red", "red", None],
        "price": [1.5, None, 3.0],
    },
    "impressions": {
        "user": ["u1", "u1", "u1", "u1", "u1", "u2"],
        "item": ["a", "b", "b", "c", "d", "a"],
        "time": [100, 100, 200, 200, 300, 250],
        "click": [1, 0, 1, 0, 0, 0],
        "request": ["r1", "r1", "r2", "r2", "r3", "r4"],
        "position": [1, 2, 2, 1, 1, 1],
        "hour": ["9", "9", "9", "9", "10", None],
        "discount": [0.1, 0.2, 0.3, 0.4, 0.5, None],
    },
    "events": {
        "user": ["u1", "u1"],
        "item": ["c", "c"],
        "time": [200, 150],
        "type": ["view", "cart"],
    },
    "searches": {
        "time": [120, 310],
        "bought": ["a", "e"],
        "text": ["red  shoes", "hat"],
        "picture": pa.array([None, None], pa.binary()),
        "clicked": [["c", "a", "b", "c"], []],
    },
    "users": {"user": ["u1"], "age": ["30"], "income": [2.5]},
}


def write(folder, tables=TABLES, **changes):
    """Writes the tables and their schema; returns the schema's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    content = {k: v for k, v in (SCHEMA | changes).items() if v is not None}
    path = folder / "schema.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def changed(name, **columns):
    """The tables with other columns in one of them."""
    return TABLES | {name: TABLES[name] | columns}


def build(schema, out, pipeline_args=()):
    """Runs every job the schema has tables for; manifests by the folder's name."""
    from beam_jobs import behaviours, item_index, item_media, search_pairs, vocabularies

    out = Path(out)
    content = yaml.safe_load(Path(schema).read_text())
    key = out.parent / f"{out.name}.key"
    out.mkdir(parents=True, exist_ok=True)
    key.write_bytes(KEY)
    common = {
        "schema": str(schema),
        "control": ANY_BAD,
        "pipeline_args": pipeline_args,
    }
    index = {"index": str(out / "index")}
    done = {"index": item_index.run(output=str(out / "index"), **common)}
    for name, job in (("items", item_media), ("searches", search_pairs)):
        if name in content:
            folder = {"items": "items", "searches": "pairs"}[name]
            done[folder] = job.run(output=str(out / folder), **index, **common)
    done["vocabularies"] = vocabularies.run(
        output=str(out / "vocabularies"), key_file=str(key), **index, **common
    )
    done["timelines"] = behaviours.run(
        vocabularies=str(out / "vocabularies"),
        output=str(out / "timelines"),
        key_file=str(key),
        **index,
        **common,
    )
    return done


def records(folder):
    """All records of a folder, decoded, in the order of files."""
    files = sorted(Path(folder).glob("*.tfrecord"))
    return [decode(record) for file in files for record in read_records(file)]


def letters(folder):
    """(file name, row, column, reason) of a folder's dead letters."""
    path = Path(folder) / "dead_letters.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = map(json.loads, lines)
    return [(Path(x["file"]).name, x["row"], x["column"], x["reason"]) for x in found]


def adds_up(counts):
    """Whether everything read was written or dropped for a reason."""
    return counts["read"] == counts["written"] + sum(counts["dropped"].values())


def content(folder):
    """File name -> bytes of all files but the manifests."""
    folder = Path(folder)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
