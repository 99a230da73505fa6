"""Adds a stretch of the log to the timelines of an earlier run."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.carried import Carried
from beam_jobs.kernels.earlier import Features, earlier_events, earlier_requests
from beam_jobs.kernels.joining import joined_events, joined_requests, some_events
from beam_jobs.kernels.timelines import LogShard, requests_of, split_of
from tfmm.records.spec import RequestSpec
from tfmm.schema import Schema


def changed_users(before: Carried, after: Carried) -> np.ndarray:
    """Users whose timelines may differ: those with a request since the horizon.

    Args:
        before: What the earlier run carried over.
        after: The same with the stretch read again.

    Returns:
        int64 `[n]`, ascending.
    """
    return np.unique(
        np.r_[
            before.impressions["user"].to_numpy(), after.impressions["user"].to_numpy()
        ]
    )


def merged(
    records: Sequence[Features],
    recent: Carried,
    users: pa.Table | None,
    changed: np.ndarray,
    schema: Schema,
    spec: RequestSpec,
    horizon: int,
) -> LogShard:
    """The whole log of the changed users, as far as their timelines need it.

    A history of an earlier request is in its record; what a later one needs is carried
    over. So the newest L of all these events are the newest L of all events.

    Args:
        records: Features of the changed users' earlier records, of every part.
        recent: The log since the horizon, the new stretch included.
        users: The users' features.
        changed: int64 `[n]`, the users.
        schema: Says what requests are, and the split.
        spec: Names the records' features.
        horizon: Microseconds; earlier requests come from the records.
    """
    old = earlier_requests(records, spec, horizon)
    own = np.isin(recent.impressions["user"].to_numpy(), changed)
    later = requests_of(recent.impressions.filter(pa.array(own)), schema)
    later = dataclasses.replace(later, impressions=_weighted(later.impressions, spec))
    requests = joined_requests(old, later)
    own = np.isin(recent.events.user, changed)
    return LogShard(
        dataclasses.replace(
            requests, part=split_of(requests.user, requests.time, schema)
        ),
        joined_events(earlier_events(records), some_events(recent.events, own)),
        users,
    )


def _weighted(impressions: pa.Table, spec: RequestSpec) -> pa.Table:
    """With a weight of 1, which sampling replaces, where records have one."""
    if not spec.weight:
        return impressions
    return impressions.append_column("weight", pa.array(np.ones(len(impressions))))
