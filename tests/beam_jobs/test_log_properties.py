"""What holds for every log: no leak, nothing lost, nothing twice, no order."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from random_log import SECOND, TYPES, schema

from beam_jobs.chunks import by_shard
from beam_jobs.kernels import histories, negatives, timeline_records, timelines
from tfmm.records.example_batch import framed_examples
from tfmm.records.example_columns import columns_of
from tfmm.records.spec import RequestSpec
from tfmm.records.timeline import columns

MOST, LAG = 3, SECOND
MOMENTS = st.integers(0, 9).map(lambda t: t * SECOND)
SHOWN = {
    "user": st.integers(0, 3),
    "item": st.integers(2, 6),
    "time": MOMENTS,
    "label:click": st.sampled_from([0.0, 1.0]),
    "request": st.integers(0, 5),
}
DONE = {name: SHOWN[name] for name in ("user", "item", "time")} | {
    "type": st.sampled_from(TYPES)
}
LIMITS = {"max_items": 2, "negative_rate": 0.5}
KINDS = {"item": pa.int64(), "user": pa.int64(), "time": pa.int64()}


def tables(columns, most):
    """Random tables of up to `most` rows."""
    row = st.fixed_dictionaries(columns)
    kinds = {"label:click": pa.float64(), "type": pa.string(), "request": pa.int64()}
    fields = [(name, KINDS.get(name, kinds.get(name))) for name in columns]
    return st.lists(row, max_size=most).map(
        lambda rows: pa.Table.from_pylist(rows, pa.schema(fields))
    )


@st.composite
def logs(draw):
    """Impressions, events, and whether requests have ids."""
    return draw(tables(SHOWN, 25)), draw(tables(DONE, 25)), draw(st.booleans())


def rule_of(has_ids):
    return schema(
        request="r" if has_ids else None,
        requests=LIMITS | ({} if has_ids else {"window_seconds": 2}),
    )


def spec_of(rule):
    return RequestSpec(9, 9, 9, (), TYPES, ("click",), MOST, 9, weight=True)


def made(shown, done, has_ids):
    """A shard's records by part, and how many impressions were left out."""
    rule = rule_of(has_ids)
    requests = timelines.requests_of(shown, rule)
    events = timelines.events_of(shown, done, rule, TYPES)
    kept = negatives.sampled(requests, ["click"], rule.requests.negative_rate)
    start, end = histories.cuts(kept, events, LAG)
    start, _ = histories.newest(kept, events, (start, end), MOST)
    shard = timelines.LogShard(kept, events, None)
    found = {}
    for code, part in timelines.part_names():
        features = timeline_records.features(shard, (start, end), spec_of(rule), code)
        found[part] = b"".join(framed_examples(features))
    sampled = requests.impressions.num_rows - kept.impressions.num_rows
    return found, requests.cut + sampled


def read(data):
    """(user, time, history of (time, type, item), items) of every request."""
    kinds = {each.name: each.type for each in columns(spec_of(None))}
    found = columns_of(data, kinds)

    def lists(name):
        column = found[name]
        return [
            column.values[a:b].tolist()
            for a, b in zip(column.offsets, column.offsets[1:], strict=False)
        ]

    for user, times, kinds_, items, moments, starts, cuts, sizes, shown in zip(
        *(
            lists(name)
            for name in (
                *("user", "event_time", "event_type", "event_item"),
                *("request_time", "request_start", "request_cut", "request_items"),
                "item",
            )
        ),
        strict=True,
    ):
        events = list(zip(times, kinds_, items, strict=True))
        at = np.cumsum([0, *sizes])
        for number, moment in enumerate(moments):
            history = events[starts[number] : cuts[number]]
            yield user[0], moment, history, shown[at[number] : at[number + 1]]


@settings(max_examples=60, deadline=None)
@given(logs())
def test_a_history_is_older_than_its_request(log):
    found, _ = made(*log)
    for data in found.values():
        for _, moment, history, _ in read(data):
            assert all(time < moment - LAG for time, _, _ in history)
            assert len(history) <= MOST and history == sorted(history)


@settings(max_examples=60, deadline=None)
@given(logs())
def test_every_impression_is_in_one_request_or_left_out_by_name(log):
    shown, _, _ = log
    found, left_out = made(*log)
    there = Counter(
        (user, item)
        for data in found.values()
        for user, _, _, items in read(data)
        for item in items
    )
    given_ = Counter(
        zip(shown["user"].to_pylist(), shown["item"].to_pylist(), strict=True)
    )
    assert there <= given_
    assert there.total() + left_out == shown.num_rows


@settings(max_examples=60, deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_never_matters(log, random):
    shown, done, has_ids = log

    def mixed(table):
        order = random.sample(range(len(table)), len(table))
        return table.take(pa.array(order, pa.int64()))

    expected, left_out = made(*log)
    assert made(mixed(shown), mixed(done), has_ids) == (expected, left_out)


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(1, 5))
def test_the_number_of_shards_changes_no_record(log, shards):
    shown, done, has_ids = log
    whole, left_out = made(*log)
    parts = {part: [] for part in whole}
    total = 0
    shown_by, done_by = (
        dict(by_shard(table, table["user"].to_numpy(), shards)) if len(table) else {}
        for table in (shown, done)
    )
    for number in range(shards):
        found, cut = made(
            shown_by.get(number, shown.slice(0, 0)),
            done_by.get(number, done.slice(0, 0)),
            has_ids,
        )
        total += cut
        for part, data in found.items():
            parts[part] += map(repr, read(data))
    assert total == left_out
    for part, data in whole.items():
        assert sorted(parts[part]) == sorted(map(repr, read(data)))
