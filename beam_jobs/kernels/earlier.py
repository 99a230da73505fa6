"""Timeline records of an earlier run, read back as requests and events."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.joining import once, taken
from beam_jobs.kernels.roles import role_of
from beam_jobs.kernels.timelines import Events, Requests
from tfmm.records.ragged import Ragged, Texts
from tfmm.records.spec import RequestSpec
from tfmm.records.timeline import columns

Features = Mapping[str, Ragged]


def earlier_requests(
    parts: Sequence[Features], spec: RequestSpec, before: int
) -> Requests:
    """The requests before a moment.

    Args:
        parts: Features of timeline records, of every part.
        spec: Names them.
        before: Microseconds.

    Returns:
        Requests ordered by user and time, all in part 0. What the records left out as
        missing is empty or 0.
    """
    time = _all(parts, "request_time")
    user = np.concatenate([_owners(part, "request_time") for part in parts])
    sizes = _all(parts, "request_items")
    owner = pa.array(np.repeat(np.arange(len(user)), sizes))
    shown = {}
    for column in columns(spec):
        if role := role_of(column.name):
            values = pa.chunked_array([_array(part[column.name]) for part in parts])
            shown[role] = values.take(owner) if column.per == "request" else values
    whole = Requests(
        user=user,
        time=time,
        part=np.zeros(len(user), np.int8),
        first=np.r_[0, np.cumsum(sizes)],
        impressions=pa.table(shown),
        cut=0,
    )
    order = np.lexsort((time, user))
    return taken(whole, order[time[order] < before])


def earlier_events(parts: Sequence[Features]) -> Events:
    """The events of all histories, each once.

    Args:
        parts: Features of timeline records, of every part.
    """
    user = np.concatenate([_owners(part, "event_time") for part in parts])
    return once(user, *(_all(parts, f"event_{x}") for x in ("time", "type", "item")))


def _all(parts: Sequence[Features], name: str) -> np.ndarray:
    return np.concatenate([np.asarray(part[name].values) for part in parts])


def _owners(part: Features, name: str) -> np.ndarray:
    """The user of every value of a feature."""
    return np.repeat(np.asarray(part["user"].values), np.diff(part[name].offsets))


def _array(column: Ragged) -> pa.Array:
    values = column.values
    if not isinstance(values, Texts):
        kind = pa.int64() if values.dtype.kind == "i" else pa.float64()
        return pa.array(values).cast(kind)
    bounds = pa.py_buffer(values.bounds.astype(np.int32))
    data = pa.py_buffer(np.ascontiguousarray(values.data))
    return pa.StringArray.from_buffers(len(values), bounds, data)
