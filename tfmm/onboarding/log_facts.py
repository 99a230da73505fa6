"""Requests, histories and splits of a log, by the very rules of the jobs."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from beam_jobs.kernels import histories, timelines
from tfmm.records.split import SPLITS, TEST, TRAIN
from tfmm.schema import Schema


@dataclasses.dataclass(frozen=True)
class PartFacts:
    """Size of one split.

    Args:
        requests: Requests.
        impressions: Their shown items.
        positives: Those with the first label.
        users: Distinct users.
        both_classes: Users with both classes of the label: GAUC rests on them.
    """

    requests: int
    impressions: int
    positives: int
    users: int
    both_classes: int


@dataclasses.dataclass(frozen=True)
class LogFacts:
    """What the log holds.

    Args:
        first, last: Times of the first and last impression, microseconds.
        requests: Number of requests.
        candidates: Mean and most candidates of a request, after any cut.
        cut: Impressions beyond the most candidates that the schema allows.
        history: Mean, median and longest history of the requests, before any cut.
        no_history: Share of requests without any history.
        parts: Facts by split.
        warm: Share of test impressions of users that training knows; `None` without
            a test.
        joined: Whether events and impressions share users; `None` without events.
    """

    first: int
    last: int
    requests: int
    candidates: tuple[float, int]
    cut: int
    history: tuple[float, float, int]
    no_history: float
    parts: Mapping[str, PartFacts]
    warm: float | None
    joined: bool | None


def log_facts(
    impressions: pa.Table, events: pa.Table | None, schema: Schema
) -> LogFacts:
    """Applies the rules of the job `behaviours` to what `log.log_table` read.

    Args:
        impressions: The impressions.
        events: The events; `None` without.
        schema: Their roles and rules.
    """
    roles = schema.impressions.model_copy(update={"position": None})
    schema = schema.model_copy(update={"impressions": roles})
    requests = timelines.requests_of(impressions, schema)
    seen: set[str] = set()
    if events is not None:
        if "type" not in events.column_names:
            types = pa.array(["view"] * events.num_rows)
            events = events.append_column("type", types)
        filled = events["type"].fill_null("view")
        events = events.set_column(events.column_names.index("type"), "type", filled)
        seen = set(filled.unique().to_pylist())
    behaviours = timelines.events_of(
        impressions, events, schema, timelines.event_types(schema, seen)
    )
    lag = int(schema.history.lag_seconds * 1_000_000)
    start, end = histories.cuts(requests, behaviours, lag)
    lengths = end - start
    sizes = np.diff(requests.first)
    return LogFacts(
        first=int(np.min(impressions["time"].to_numpy())),
        last=int(np.max(impressions["time"].to_numpy())),
        requests=len(sizes),
        candidates=(float(sizes.mean()), int(sizes.max())),
        cut=requests.cut,
        history=(float(lengths.mean()), float(np.median(lengths)), int(lengths.max())),
        no_history=float((lengths == 0).mean()),
        parts=_parts(requests, sizes, schema),
        warm=_warm(requests, sizes),
        joined=_joined(impressions, events),
    )


def _parts(
    requests: timelines.Requests, sizes: np.ndarray, schema: Schema
) -> dict[str, PartFacts]:
    label = f"label:{schema.impressions.labels[0]}"
    positive = requests.impressions[label].to_numpy() > 0
    user = np.repeat(requests.user, sizes)
    part = np.repeat(requests.part, sizes)
    found = {}
    for code, name in enumerate(SPLITS):
        mine = part == code
        users, number = np.unique(user[mine], return_inverse=True)
        count = np.bincount(number, minlength=len(users))
        hits = np.bincount(number, weights=positive[mine], minlength=len(users))
        found[name] = PartFacts(
            requests=int((requests.part == code).sum()),
            impressions=int(mine.sum()),
            positives=int(positive[mine].sum()),
            users=len(users),
            both_classes=int(((hits > 0) & (hits < count)).sum()),
        )
    return found


def _warm(requests: timelines.Requests, sizes: np.ndarray) -> float | None:
    test = requests.part == TEST
    if not test.any():
        return None
    known = np.isin(requests.user[test], requests.user[requests.part == TRAIN])
    return float(np.average(known, weights=sizes[test]))


def _joined(impressions: pa.Table, events: pa.Table | None) -> bool | None:
    if events is None:
        return None
    mine = np.unique(impressions["user"].to_numpy())
    return bool(np.isin(mine, events["user"].to_numpy()).any())
