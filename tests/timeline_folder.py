"""Timelines made up for tests, written as the behaviours job would."""

import numpy as np

from tfmm.records.example import encode
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.spec import Feature, RequestSpec
from tfmm.records.tfrecord import write_records
from tfmm.records.timeline import KIND
from tfmm.records.vocabularies import ItemTable, Vocabularies

ROWS, LONGEST, MOST = 100, 8, 3
AGE = Feature("age", "categorical", "user", 4)
PRICE = Feature("price", "numeric", "candidate", 0)
SPEC = RequestSpec(
    users=2,
    items=ROWS,
    rows=ROWS,
    features=(AGE, PRICE),
    event_types=("click", "view"),
    labels=("click",),
    max_history=LONGEST,
    max_items=MOST,
)


def vocabularies():
    none = np.zeros((0, 0), np.int32)
    table = ItemTable(none, none, none, none)
    return Vocabularies({"user": [], "user_age": ["1", "2"]}, table, SPEC, {"of": "it"})


def timeline(user, requests, seed=0, **changes):
    """A record of `requests` moments, with as many events, cut one by one."""
    random = np.random.default_rng([user, seed])
    cuts = np.arange(requests)
    items = random.integers(1, MOST + 1, requests)
    record = {
        "user": np.array([user]),
        "event_item": random.integers(2, ROWS, requests),
        "event_type": random.integers(2, 4, requests),
        "event_time": cuts,
        "request_time": cuts + 1,
        "request_start": np.maximum(cuts - LONGEST, 0),
        "request_cut": cuts,
        "request_items": items,
        "item": random.integers(2, ROWS, items.sum()),
        "label_click": random.integers(0, 2, items.sum()).astype(np.float32),
        "user_age": [b"2"],
        "candidate_price": random.normal(size=items.sum()).astype(np.float32),
    }
    return record | changes


def write(folder, timelines, shards=3):
    """Writes the folder; returns the number of requests."""
    count = sum(len(record["request_time"]) for record in timelines)
    with writing(folder) as tmp:
        for shard in range(shards):
            records = [encode(record) for record in timelines[shard::shards]]
            write_records(tmp / f"timelines-{shard}.tfrecord", records)
        write_manifest(
            tmp,
            kind=KIND,
            counts={"timelines": len(timelines), "requests": count},
            index={"of": "it"},
            spec=SPEC.to_dict(),
        )
    return count
