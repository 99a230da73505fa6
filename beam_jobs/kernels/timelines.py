"""From one shard's impressions and events to timelines with requests as cuts."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.kernels import ordering
from beam_jobs.kernels.ordering import changes
from beam_jobs.kernels.windows import window_starts
from tfmm.records.spec import FIRST_CODE, UNKNOWN_CODE
from tfmm.records.split import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    global_time,
    per_user_last_fraction,
)
from tfmm.schema import GlobalTime, Schema, microseconds


@dataclasses.dataclass(frozen=True)
class Requests:
    """All requests of a shard, ordered by (user, time, request id).

    Args:
        user: int64 `[R]`.
        time: int64 `[R]`, microseconds.
        part: int8 `[R]`: 0 train, 1 validation, 2 test.
        first: int64 `[R + 1]`: request `r` owns impressions `first[r]:first[r + 1]`.
        impressions: Kept impressions, ordered by request, then place in the list,
            then item; never by the order of the input.
        cut: Number of impressions cut because a request had too many.
    """

    user: np.ndarray
    time: np.ndarray
    part: np.ndarray
    first: np.ndarray
    impressions: pa.Table
    cut: int


@dataclasses.dataclass(frozen=True)
class Events:
    """All behaviours of a shard, ordered by (user, time, type, item).

    Args:
        user: int64 `[E]`.
        time: int64 `[E]`, microseconds.
        type: int64 `[E]`, codes from 2.
        item: int64 `[E]`, catalog rows.
        logged: bool `[E]`: of the events table alone, no positive impression.
        repeated: Number of rows of the events table left out as repetitions.
    """

    user: np.ndarray
    time: np.ndarray
    type: np.ndarray
    item: np.ndarray
    logged: np.ndarray
    repeated: int


@dataclasses.dataclass(frozen=True)
class LogShard:
    """The log of one shard's users: requests, events and user features.

    Args:
        requests: The requests, with the split rule applied.
        events: The behaviours.
        users: The users' features by key, at most one row a user; `None` without.
    """

    requests: Requests
    events: Events
    users: pa.Table | None


def event_types(schema: Schema, seen: set[str]) -> tuple[str, ...]:
    """All event types in a fixed order: type `i` has code `i + 2`."""
    label = {schema.history.label} if schema.history.label else set()
    return tuple(sorted(seen | label))


def requests_of(impressions: pa.Table, schema: Schema) -> Requests:
    """Groups impressions into requests and applies the split rule.

    A request is one request id of one user, or without ids one user's impressions of
    one moment or window. A request's time is its first impression's.

    Args:
        impressions: Columns `user`, `item` (rows), `time`, `source` (int64, file and
            row) and the schema's optional roles.
        schema: Gives request ids, limits and the split rule.
    """
    user, time = _int64(impressions["user"]), request_times(impressions, schema)
    ties = [_int64(impressions["item"])]
    if schema.impressions.position:
        ties.append(_number(impressions["position"]))
    request = []
    if schema.impressions.request:
        request = [_codes(impressions["request"])]
    keys = [*ties, *request]
    order = ordering.order([time, user], keys)
    new = changes(*(column[order] for column in (user, time, *keys)))
    order = _ties_in_order(order, new, impressions)
    user, time = user[order], time[order]
    new = changes(user, time, *(codes[order] for codes in request))
    number = np.cumsum(new) - 1
    rank = np.arange(len(user)) - np.flatnonzero(new)[number] if len(user) else number
    kept = rank < schema.requests.max_items
    counts = np.bincount(number[kept], minlength=int(new.sum()))
    return Requests(
        user=user[new],
        time=time[new],
        part=split_of(user[new], time[new], schema),
        first=np.r_[0, np.cumsum(counts)],
        impressions=impressions.take(pa.array(order[kept])),
        cut=int((~kept).sum()),
    )


def request_times(impressions: pa.Table, schema: Schema) -> np.ndarray:
    """The time of every impression's request: int64 `[n]`, microseconds."""
    user, time = _int64(impressions["user"]), _int64(impressions["time"])
    if schema.impressions.request:
        return _first_time(user, _codes(impressions["request"]), time)
    return window_starts(user, time, schema.requests.window_seconds)


def events_of(
    impressions: pa.Table,
    events: pa.Table | None,
    schema: Schema,
    types: tuple[str, ...],
) -> Events:
    """Positives of impressions and the events table, as one ordered sequence.

    Exact repetitions (user, time, type, item) count once.
    """
    columns: list[tuple[np.ndarray, ...]] = []
    label = schema.history.label
    if label is not None:
        positive = _number(impressions[f"label:{label}"]) > 0
        chosen = impressions.filter(pa.array(positive))
        code = np.full(chosen.num_rows, types.index(label) + FIRST_CODE)
        columns.append(_event_columns(chosen, code, from_table=False))
    if events is not None and events.num_rows:
        found = pc.index_in(events["type"], value_set=pa.array(types, pa.string()))
        code = _int64(pc.fill_null(found, UNKNOWN_CODE - FIRST_CODE)) + FIRST_CODE
        columns.append(_event_columns(events, code, from_table=True))
    if not columns:
        empty = np.zeros(0, np.int64)
        return Events(empty, empty, empty, empty, empty.astype(bool), 0)
    joined = [np.concatenate(column) for column in zip(*columns, strict=True)]
    user, time, kind, item, _ = joined
    order = ordering.order([time, user], [item, kind])
    user, time, kind, item, from_table = (column[order] for column in joined)
    new = changes(user, time, kind, item)
    repeated = int(from_table[~new].sum())
    logged = from_table[new]  # Of equal rows, the impression's comes first.
    return Events(user[new], time[new], kind[new], item[new], logged, repeated)


def train_ends(requests: Requests) -> dict[int, int]:
    """Per user, the first moment that is not training any more.

    Users without such a moment are absent.
    """
    later = requests.part != TRAIN
    users, first = np.unique(requests.user[later], return_index=True)
    times = requests.time[later][first]
    return dict(zip(users.tolist(), times.tolist(), strict=True))


def in_training(events: Events, requests: Requests, schema: Schema) -> np.ndarray:
    """Which events belong to training under the split rule: bool `[E]`."""
    if isinstance(schema.split, GlobalTime):
        return events.time < first_known(schema.split)
    ends = train_ends(requests)
    limit = np.array(
        [ends.get(user, np.iinfo(np.int64).max) for user in events.user.tolist()],
        np.int64,
    )
    return events.time < limit


def first_known(split: GlobalTime) -> int:
    """The first moment after training, in microseconds."""
    moments = [split.validation_from, split.test_from]
    return min(microseconds(moment) for moment in moments if moment is not None)


def part_names() -> tuple[tuple[int, str], ...]:
    """Code and name of every split."""
    return tuple(zip((TRAIN, VALIDATION, TEST), SPLITS, strict=True))


def split_of(user: np.ndarray, time: np.ndarray, schema: Schema) -> np.ndarray:
    """The part of every request by the split rule: int8 `[R]`."""
    rule = schema.split
    if isinstance(rule, GlobalTime):
        validation = rule.validation_from
        return global_time(
            time,
            None if validation is None else microseconds(validation),
            microseconds(rule.test_from),
        )
    return per_user_last_fraction(
        user, time, rule.test_fraction, rule.validation_fraction
    )


def _first_time(user: np.ndarray, key: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The earliest time among the rows of the same user and key."""
    order = np.lexsort((key, user))
    new = changes(user[order], key[order])
    first = np.minimum.reduceat(time[order], np.flatnonzero(new))
    result = np.empty_like(time)
    result[order] = first[np.cumsum(new) - 1]
    return result


def _event_columns(
    table: pa.Table, code: np.ndarray, from_table: bool
) -> tuple[np.ndarray, ...]:
    return (
        _int64(table["user"]),
        _int64(table["time"]),
        code.astype(np.int64),
        _int64(table["item"]),
        np.full(table.num_rows, from_table),
    )


def _int64(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy().astype(np.int64, copy=False)


def _number(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, 0.0).to_numpy()


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Text as integers in the text's order; integers as they are."""
    if pa.types.is_integer(column.type):
        return _int64(column)
    found = column.combine_chunks().dictionary_encode("encode")
    ranks = pc.rank(found.dictionary, tiebreaker="dense").to_numpy().astype(np.int64)
    return ranks[found.indices.to_numpy()]


def _ties_in_order(
    order: np.ndarray, new: np.ndarray, impressions: pa.Table
) -> np.ndarray:
    """Sorts rows that no key tells apart by all that is in them.

    Args:
        order: int64 `[n]`, rows by their keys.
        new: bool `[n]`, where a row's keys differ from the row's before.
        impressions: The rows.
    """
    tied = np.flatnonzero(~new | np.r_[~new[1:], False])
    if len(tied):
        rows, group = order[tied], np.cumsum(new)[tied]
        content = _content(impressions.take(pa.array(rows)))
        order[tied] = rows[np.lexsort([*content, group])]
    return order


def _content(impressions: pa.Table) -> list[np.ndarray]:
    """Sort keys that only equal rows share, so that the input's order never counts."""
    keys = []
    for name in sorted(impressions.column_names):
        column = impressions[name]
        if pa.types.is_string(column.type):
            keys.append(_codes(column))
        elif name not in ("source", "user", "item"):
            keys.append(_number(column))
    return keys
