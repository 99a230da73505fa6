"""The same requests twice: as timelines, and as one example an impression."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmm.records.example import encode
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.spec import RequestSpec
from tfmm.records.tfrecord import write_records
from tfmm.records.timeline import KIND
from tfmm.records.vocabularies import ItemTable, Vocabularies

ROWS, TYPES, SHARDS = 1_000_000, ("click", "view"), 8
SECOND, START = 1_000_000, 1_700_000_000_000_000
EMPTY = np.zeros((0, 0), np.int32)


@dataclass(frozen=True)
class Layout:
    """Args:
    users: Number of timelines.
    requests: Requests of a user.
    history: L; every user has so many events before the first request, and as many
        again if there are further ones.
    items: N.
    batch: B.
    """

    users: int
    requests: int
    history: int
    items: int
    batch: int

    @property
    def count(self) -> int:
        return self.users * self.requests


def vocabularies(layout: Layout) -> Vocabularies:
    spec = RequestSpec(
        users=2,
        items=ROWS,
        rows=ROWS,
        features=(),
        event_types=TYPES,
        labels=("click",),
        max_history=layout.history,
        max_items=layout.items,
    )
    items = ItemTable(EMPTY, EMPTY, EMPTY, EMPTY)
    return Vocabularies({"user": []}, items, spec, {"lineage": "benchmark"})


def timeline(layout: Layout, user: int) -> dict[str, np.ndarray]:
    """A user's record: requests at even distances over the second half."""
    random = np.random.default_rng(user)
    more = layout.history if layout.requests > 1 else 0
    events, shown = layout.history + more, layout.requests * layout.items
    cuts = layout.history + np.arange(layout.requests) * more // layout.requests
    time = START + np.arange(events) * SECOND
    return {
        "user": np.array([user]),
        "event_item": items(random, events),
        "event_type": random.integers(2, 4, events),
        "event_time": time,
        "request_time": time[cuts - 1] + 1,
        "request_start": cuts - layout.history,
        "request_cut": cuts,
        "request_items": np.full(layout.requests, layout.items),
        "item": items(random, shown),
        "label_click": random.integers(0, 2, shown).astype(np.float32),
    }


def items(random: np.random.Generator, count: int) -> np.ndarray:
    """Catalog rows of which few are frequent and most are rare, as in a shop."""
    return np.exp(random.uniform(np.log(2), np.log(ROWS), count)).astype(np.int64)


def write_timelines(
    folder: Path, layout: Layout, known: Vocabularies | None = None
) -> int:
    """Writes the folder that `tfmm.data.requests` reads; returns its bytes."""
    known = known or vocabularies(layout)
    with writing(folder) as tmp:
        for shard, users in _shards(layout):
            records = (encode(timeline(layout, user)) for user in users)
            write_records(tmp / f"timelines-{shard}.tfrecord", records)
        write_manifest(
            tmp,
            kind=KIND,
            counts={"timelines": layout.users, "requests": layout.count},
            index=dict(known.index_stamp),
            spec=known.spec.to_dict(),
        )
    return _bytes(folder)


def write_impressions(folder: Path, layout: Layout) -> int:
    """Writes one example an impression, each with its history; returns the bytes."""
    folder.mkdir()
    for shard, users in _shards(layout):
        records = (x for user in users for x in _impressions(timeline(layout, user)))
        write_records(folder / f"impressions-{shard}.tfrecord", records)
    return _bytes(folder)


def _impressions(record: dict[str, np.ndarray]) -> Iterator[bytes]:
    place = 0
    for i, count in enumerate(record["request_items"]):
        span = slice(record["request_start"][i], record["request_cut"][i])
        for _ in range(count):
            yield encode(
                {
                    "user": record["user"],
                    "time": record["request_time"][i : i + 1],
                    "history_item": record["event_item"][span],
                    "history_type": record["event_type"][span],
                    "item": record["item"][place : place + 1],
                    "label_click": record["label_click"][place : place + 1],
                }
            )
            place += 1


def _shards(layout: Layout) -> Iterator[tuple[int, range]]:
    for shard in range(SHARDS):
        yield shard, range(shard, layout.users, SHARDS)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.tfrecord"))
