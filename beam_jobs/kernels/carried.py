"""What a shard's log leaves for a later run that adds days to its timelines."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.joining import EVENT, joined_events, some_events
from beam_jobs.kernels.ordering import changes
from beam_jobs.kernels.timelines import Events, request_times
from tfmm.schema import Schema


@dataclass(frozen=True)
class Carried:
    """The recent part of a shard's log, and what histories need of the rest.

    Args:
        impressions: All impressions of requests since the horizon.
        events: All events since the horizon, and every user's newest before it.
    """

    impressions: pa.Table
    events: Events


def carried(
    impressions: pa.Table, events: Events, schema: Schema, horizon: int
) -> Carried:
    """What a later run needs that adds nothing before the horizon.

    A request since the horizon has in its history events since then and at most L
    older ones, the newest; the records hold what requests before it need.

    Args:
        impressions: As `timelines.requests_of` takes them.
        events: All events that may be in a history of a request since the horizon.
        schema: Says what a request is, and L.
        horizon: Microseconds.
    """
    recent = request_times(impressions, schema) >= horizon
    chosen = impressions.filter(pa.array(recent))
    order = [(name, "ascending") for name in _order(chosen)]
    kept = _newest(events, horizon, schema.history.max_length)
    return Carried(chosen.sort_by(order), some_events(events, kept))


def read_again(
    known: Carried,
    impressions: pa.Table,
    events: Events,
    since: int,
    until: int,
) -> Carried:
    """The carried log with a stretch of time as it has been read again.

    Args:
        known: What an earlier run carried over.
        impressions: The impressions of the stretch.
        events: Its events.
        since: The stretch's first moment, microseconds; not before the horizon.
        until: Its end, microseconds; exclusive.
    """
    time = known.impressions["time"].to_numpy()
    outside = (time < since) | (time >= until)
    stays = known.impressions.filter(pa.array(outside))
    aside = (known.events.time < since) | (known.events.time >= until)
    return Carried(
        pa.concat_tables([stays, impressions.select(stays.column_names)]),
        joined_events(some_events(known.events, aside), events),
    )


def to_tables(found: Carried) -> tuple[pa.Table, pa.Table]:
    """Impressions and events as tables; `from_tables` is the inverse."""
    columns = {name: getattr(found.events, name) for name in EVENT}
    return found.impressions.combine_chunks(), pa.table(columns)


def from_tables(impressions: pa.Table, events: pa.Table) -> Carried:
    """The inverse of `to_tables`."""
    columns = {name: events[name].to_numpy() for name in EVENT}
    unknown = np.zeros(events.num_rows, bool)
    return Carried(impressions, Events(**columns, logged=unknown, repeated=0))


def _newest(events: Events, horizon: int, most: int) -> np.ndarray:
    """bool `[E]`: events since the horizon, and every user's newest before it."""
    older = events.time < horizon
    new = changes(events.user)
    person = np.cumsum(new) - 1
    counts = np.bincount(person[older], minlength=int(new.sum()))
    first = np.flatnonzero(new)
    rank_from_end = first[person] + counts[person] - np.arange(len(older))
    return ~older | (rank_from_end <= most)


def _order(impressions: pa.Table) -> list[str]:
    """Sort keys that only equal rows share: the moment first."""
    first = [x for x in ("user", "time", "request") if x in impressions.column_names]
    return first + sorted(set(impressions.column_names) - set(first))
