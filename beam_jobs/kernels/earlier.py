"""Timeline records of an earlier run, read back as requests and events."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.joining import once, taken
from beam_jobs.kernels.roles import role_of
from beam_jobs.kernels.timelines import Events, Requests
from tfmm.records.example import decode
from tfmm.records.spec import RequestSpec
from tfmm.records.timeline import TEXT, columns


def earlier(
    records: Iterable[bytes], spec: RequestSpec, before: int
) -> tuple[Requests, Events]:
    """Requests before a moment, and the events of all their histories.

    Args:
        records: Timeline records, in any order of users.
        spec: Names their features.
        before: Microseconds; later requests are left out, their events are not.

    Returns:
        Requests ordered by user and time, all in part 0; what the records left out as
        missing is empty or 0. Events ordered by user, time, type and item, each once.
    """
    found: dict[str, list[Any]] = defaultdict(list)
    requests, events = [], []
    for record in records:
        values = decode(record)
        for column in columns(spec):
            found[column.name] += values.get(column.name, [])
        requests.append(len(values.get("request_time", [])))
        events.append(len(values.get("event_time", [])))
    users = np.array(found["user"], np.int64)
    return (
        _requests(found, np.repeat(users, requests), spec, before),
        _events(found, np.repeat(users, events)),
    )


def part_counts(records: Iterable[bytes], spec: RequestSpec) -> dict[str, int]:
    """How many timelines, requests, impressions and positives records hold."""
    counts = dict.fromkeys(("timelines", "requests", "impressions", "positives"), 0)
    for record in records:
        values = decode(record)
        labels = values.get(f"label_{spec.labels[0]}", [])
        counts["timelines"] += 1
        counts["requests"] += len(values["request_time"])
        counts["impressions"] += len(values["item"])
        counts["positives"] += int(np.count_nonzero(labels))
    return counts


def _requests(
    found: dict[str, list[Any]], user: np.ndarray, spec: RequestSpec, before: int
) -> Requests:
    time = np.array(found["request_time"], np.int64)
    sizes = np.array(found["request_items"], np.int64)
    owner = np.repeat(np.arange(len(user)), sizes)
    shown = {"item": pa.array(found["item"], pa.int64())}
    for column in columns(spec):
        role = role_of(column.name)
        if role is None:
            continue
        values = found[column.name]
        if column.type == TEXT:
            made = pa.array([value.decode() for value in values], pa.string())
        else:
            made = pa.array(values, pa.float64())
        shown[role] = made.take(pa.array(owner)) if column.per == "request" else made
    order = np.lexsort((time, user))
    order = order[time[order] < before]
    return taken(
        Requests(
            user,
            time,
            np.zeros(len(user), np.int8),
            np.r_[0, np.cumsum(sizes)],
            pa.table(shown),
            0,
        ),
        order,
    )


def _events(found: dict[str, list[Any]], user: np.ndarray) -> Events:
    time, kind, item = (
        np.array(found[f"event_{name}"], np.int64) for name in ("time", "type", "item")
    )
    return once(user, time, kind, item)
