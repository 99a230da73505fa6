"""Puts requests and events of several origins together, in the order of all logs."""

import dataclasses

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.ordering import changes
from beam_jobs.kernels.timelines import Events, Requests
from tfmm.records.ragged import stretches

# What tells events apart, in the order of all logs.
EVENT = ("user", "time", "type", "item")


def taken(requests: Requests, places: np.ndarray) -> Requests:
    """Some of the requests, in a given order.

    Args:
        requests: The requests.
        places: int64 `[n]`, which.
    """
    sizes = np.diff(requests.first)[places]
    shown = stretches(requests.first[:-1][places], sizes)
    return dataclasses.replace(
        requests,
        user=requests.user[places],
        time=requests.time[places],
        part=requests.part[places],
        first=np.r_[0, np.cumsum(sizes)],
        impressions=requests.impressions.take(pa.array(shown)),
    )


def joined_requests(first: Requests, second: Requests) -> Requests:
    """Both, ordered by user and time; at equal moments the first come first.

    Columns that the first lack are left out.
    """
    names = first.impressions.schema
    later = second.impressions.select(names.names).cast(names)
    both = Requests(
        user=np.r_[first.user, second.user],
        time=np.r_[first.time, second.time],
        part=np.r_[first.part, second.part],
        first=np.r_[first.first, first.first[-1] + second.first[1:]],
        impressions=pa.concat_tables([first.impressions, later]),
        cut=first.cut + second.cut,
    )
    return taken(both, np.lexsort((both.time, both.user)))


def once(
    user: np.ndarray, time: np.ndarray, kind: np.ndarray, item: np.ndarray
) -> Events:
    """Events ordered by user, time, type and item, each once.

    Args:
        user: int64 `[n]`.
        time: int64 `[n]`, microseconds.
        kind: int64 `[n]`, codes of types.
        item: int64 `[n]`, catalog rows.
    """
    columns = (user, time, kind, item)
    order = np.lexsort(columns[::-1])
    ordered = [column[order] for column in columns]
    new = changes(*ordered)
    user, time, kind, item = (column[new] for column in ordered)
    return Events(user, time, kind, item, np.zeros(len(user), bool), 0)


def joined_events(first: Events, second: Events) -> Events:
    """Both, each event once."""
    return once(*(np.r_[getattr(first, x), getattr(second, x)] for x in EVENT))


def some_events(events: Events, kept: np.ndarray) -> Events:
    """The events of a mask.

    Args:
        events: The events.
        kept: bool `[E]`.
    """
    chosen = {name: getattr(events, name)[kept] for name in (*EVENT, "logged")}
    return Events(**chosen, repeated=0)
