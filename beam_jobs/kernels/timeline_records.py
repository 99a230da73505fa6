"""From a shard's log and histories to its timeline records, all users at once."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.kernels.histories import covered
from beam_jobs.kernels.ordering import changes
from beam_jobs.kernels.roles import role_of
from beam_jobs.kernels.timelines import Events, LogShard
from tfmm.records.ragged import Ragged, Texts, stretches
from tfmm.records.spec import RequestSpec
from tfmm.records.timeline import TEXT, Column, columns


def features(
    shard: LogShard, spans: tuple[np.ndarray, np.ndarray], spec: RequestSpec, part: int
) -> dict[str, Ragged]:
    """All features of the timelines of one part: a record a user with a request in it.

    Args:
        shard: The log.
        spans: Start and end of every request's history among the events, int64 `[R]`.
        spec: Names the features.
        part: Code of the part.

    Returns:
        Name -> the feature of every record, ordered by user, names in the order of
        `tfmm.records.timeline.columns`.
    """
    requests, events = shard.requests, shard.events
    chosen = np.flatnonzero(requests.part == part)
    starts, ends, known = _stored(spans[0][chosen], spans[1][chosen], events)
    firsts = np.flatnonzero(changes(requests.user[chosen]))
    users = requests.user[chosen[firsts]]
    request = np.r_[firsts, len(chosen)]
    oldest = np.minimum.reduceat(starts, firsts)
    history = np.maximum.reduceat(ends, firsts) - oldest
    sizes = np.diff(requests.first)[chosen]
    offsets = {
        "user": np.arange(len(users) + 1),
        "event": _bounds(history),
        "request": request,
        "item": _bounds(sizes)[request],
    }
    before = np.repeat(oldest, np.diff(request))
    made: dict[str, np.ndarray | Texts] = {
        "user": users,
        "event_item": events.item[known],
        "event_type": events.type[known],
        "event_time": events.time[known],
        "request_time": requests.time[chosen],
        "request_start": starts - before,
        "request_cut": ends - before,
        "request_items": sizes,
    }
    first = requests.first[chosen]
    places = {"request": first, "item": stretches(first, sizes)}
    found = {}
    for column in columns(spec):
        if column.name in made:
            values = made[column.name]
        elif column.per == "user":
            values = _of_users(shard.users, users, column)
        else:
            shown = requests.impressions[role_of(column.name)]
            values = _values(shown.take(pa.array(places[column.per])), column)
        found[column.name] = Ragged(values, offsets[column.per])
    return found


def _stored(
    starts: np.ndarray, ends: np.ndarray, events: Events
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The spans among the events that any of them has, and the places of these."""
    stored = covered(starts, ends, len(events.user))
    before = np.r_[0, np.cumsum(stored)]
    return before[starts], before[ends], np.flatnonzero(stored)


def counts(found: dict[str, Ragged], spec: RequestSpec) -> dict[str, int]:
    """How many timelines, requests, impressions and positives the features hold."""
    labels = np.asarray(found[f"label_{spec.labels[0]}"].values)
    return {
        "timelines": len(found["user"]),
        "requests": len(found["request_time"].values),
        "impressions": len(found["item"].values),
        "positives": int(np.count_nonzero(labels)),
    }


def _bounds(sizes: np.ndarray) -> np.ndarray:
    return np.r_[0, np.cumsum(sizes)]


def _of_users(
    table: pa.Table | None, users: np.ndarray, column: Column
) -> np.ndarray | Texts:
    """The users' values; empty or 0 for those that the table lacks."""
    if table is None:
        kind = pa.string() if column.type == TEXT else pa.float64()
        return _values(pa.chunked_array([pa.nulls(len(users), kind)]), column)
    places = pc.index_in(pa.array(users), value_set=table["user"])
    role = f"features:{column.name.removeprefix('user_')}"
    return _values(table[role].take(places), column)


def _values(values: pa.ChunkedArray, column: Column) -> np.ndarray | Texts:
    """A column in the record's type, what is missing filled."""
    if column.type == TEXT:
        return _texts(pc.fill_null(values, "").combine_chunks())
    kind = np.int64 if column.type == "int64" else np.float32
    # A score that was not logged is not a score of 0.
    missing = np.nan if column.name == "base_score" else 0
    return pc.fill_null(values, missing).to_numpy().astype(kind)


def _texts(values: pa.StringArray) -> Texts:
    _, bounds, data = values.buffers()
    part = slice(values.offset, values.offset + len(values) + 1)
    return Texts(
        np.frombuffer(data or b"", np.uint8),
        np.frombuffer(bounds, np.int32)[part].astype(np.int64),
    )
