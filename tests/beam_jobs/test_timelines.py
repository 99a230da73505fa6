"""The kernel against a plain-Python reference, on random logs."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from random_log import SECOND, TYPES, random_log, schema

from beam_jobs.kernels import histories, timelines


def reference(shown, done, shop, lag):
    """(user, time, request) -> (candidates, history) in twenty plain lines."""
    place = "position" if shop.impressions.position else "item"
    groups, events = {}, set()
    for row in shown.to_pylist():
        name = row["request"] if shop.impressions.request else row["time"]
        groups.setdefault((row["user"], name), []).append(row)
        if row["label:click"]:
            events.add((row["user"], row["time"], "click", row["item"]))
    for row in done.to_pylist():
        events.add((row["user"], row["time"], row["type"], row["item"]))
    found = {}
    for (user, name), rows in groups.items():
        time = min(row["time"] for row in rows)
        rows = sorted(
            rows,
            key=lambda r: (r[place], r["item"], r["label:click"], r["position"]),
        )
        known = sorted(e for e in events if e[0] == user and e[1] < time - lag)
        history = [(item, TYPES.index(kind) + 2, t) for _, t, kind, item in known]
        found[user, time, name] = ([row["item"] for row in rows[:3]], history)
    return found


def kernel(shown, done, shop, lag):
    requests = timelines.requests_of(shown, shop)
    events = timelines.events_of(shown, done, shop, TYPES)
    start, end = histories.cuts(requests, events, lag)
    found = []
    for r in range(len(requests.user)):
        owned = slice(requests.first[r], requests.first[r + 1])
        span = slice(start[r], end[r])
        items = requests.impressions["item"].to_pylist()[owned]
        assert (events.user[span] == requests.user[r]).all()
        history = zip(
            events.item[span].tolist(),
            events.type[span].tolist(),
            events.time[span].tolist(),
            strict=True,
        )
        found.append((requests.user[r], requests.time[r], items, list(history)))
    return requests, events, found


CASES = [(None, None), ("r", None), (None, "p"), ("r", "p")]


@pytest.mark.parametrize("columns", CASES)
@pytest.mark.parametrize("seed", range(15))
def test_kernel_equals_the_reference(seed, columns):
    shop, lag = schema(*columns), (seed % 3) * SECOND
    shown, done = random_log(seed)
    requests, events, found = kernel(shown, done, shop, lag)
    expected = reference(shown, done, shop, lag)
    plain = [(*key[:2], *value) for key, value in sorted(expected.items())]
    assert found == plain
    # No leak: whatever is in a history is older than the request less the lag.
    assert all(t < time - lag for _, time, _, past in found for *_, t in past)
    # Every impression is in exactly one request, or counted as cut.
    assert requests.impressions.num_rows + requests.cut == shown.num_rows
    sources = requests.impressions["source"].to_pylist()
    assert len(set(sources)) == len(sources)
    assert (np.diff(events.time)[np.diff(events.user) == 0] >= 0).all()


@pytest.mark.parametrize("columns", CASES)
@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_rows_never_matters(seed, columns):
    shop = schema(*columns)
    shown, done = random_log(seed)
    rng = np.random.default_rng(seed)
    mixed = shown.take(rng.permutation(shown.num_rows))
    mixed = mixed.set_column(3, "source", pa.array(np.arange(shown.num_rows)))
    again = done.take(rng.permutation(done.num_rows))
    for left, right in (
        (timelines.requests_of(shown, shop), timelines.requests_of(mixed, shop)),
        (
            timelines.events_of(shown, done, shop, TYPES),
            timelines.events_of(mixed, again, shop, TYPES),
        ),
    ):
        for field in dataclasses.fields(left):
            one, two = getattr(left, field.name), getattr(right, field.name)
            if isinstance(one, pa.Table):
                one, two = one.drop_columns("source"), two.drop_columns("source")
                assert one.equals(two)
            else:
                assert np.array_equal(one, two), field.name


def test_repetitions_count_for_the_events_table_only():
    shown = {
        "user": [1, 1, 1],
        "item": [2, 2, 3],
        "time": [5, 5, 5],
        "source": [0, 1, 2],
        "label:click": [1.0, 1.0, 0.0],
        "request": ["a"] * 3,
        "position": [1.0, 2.0, 3.0],
    }
    done = {
        "user": [1, 1, 1],
        "item": [2, 3, 3],
        "time": [5, 5, 5],
        "source": [0, 1, 2],
        "type": ["click", "view", "view"],
    }
    events = timelines.events_of(pa.table(shown), pa.table(done), schema(), TYPES)
    # The two clicks of item 2 in the log are one event, and the table's repeats it.
    assert events.item.tolist() == [2, 3] and events.type.tolist() == [3, 4]
    assert events.repeated == 2


def test_an_unknown_event_type_has_code_1():
    _, done = random_log(0)
    shown, _ = random_log(1)
    named = done.set_column(4, "type", pa.array(["gift"] * done.num_rows))
    events = timelines.events_of(
        shown, named, schema(history={"label": None}), ("view",)
    )
    assert set(events.type.tolist()) == {1}


def test_split_by_hand():
    shown, done = random_log(3)
    requests = timelines.requests_of(shown, schema())
    expected = np.digitize(requests.time, [5 * SECOND, 7 * SECOND])
    assert requests.part.tolist() == expected.tolist()
    events = timelines.events_of(shown, done, schema(), TYPES)
    kept = timelines.in_training(events, requests, schema())
    assert kept.tolist() == (events.time < 5 * SECOND).tolist()


def test_last_fraction_of_each_user_by_hand():
    # User 1 asks at 1, 2, 3, 4, 5: 3 train, 1 validates, 1 tests. User 2 asks once.
    split = {
        "rule": "per_user_last_fraction",
        "test_fraction": 0.2,
        "validation_fraction": 0.2,
    }
    shop = schema(split=split)
    times = [1, 2, 3, 4, 5, 9]
    shown = {
        "user": [1] * 5 + [2],
        "item": [2] * 6,
        "time": times,
        "source": range(6),
        "label:click": [1.0] * 6,
        "request": ["r"] * 6,
        "position": [0.0] * 6,
    }
    done = {"user": [3], "item": [4], "time": [99], "source": [0], "type": ["view"]}
    shown, done = pa.table(shown), pa.table(done)
    requests = timelines.requests_of(shown, shop)
    assert requests.part.tolist() == [0, 0, 0, 1, 2, 2]
    events = timelines.events_of(shown, done, shop, TYPES)
    kept = timelines.in_training(events, requests, shop)
    # User 1's clicks at 1, 2, 3 train; user 2 has no training; user 3 no requests.
    assert kept.tolist() == [True] * 3 + [False] * 2 + [False] + [True]


def test_histories_keep_the_newest_and_count_the_rest():
    ints = np.array
    requests = timelines.Requests(
        user=ints([1, 1, 2]),
        time=ints([5, 7, 3]),
        part=np.zeros(3, np.int8),
        first=ints([0, 1, 2, 3]),
        impressions=pa.table({}),
        cut=0,
    )
    times = ints([1, 2, 3, 4, 6, 8, 3])
    users, logged = ints([1] * 6 + [2]), np.ones(7, bool)
    events = timelines.Events(users, times, times, times, logged, 0)
    spans = histories.cuts(requests, events, 0)
    assert [x.tolist() for x in spans] == [[0, 0, 6], [4, 5, 6]]
    start, unused = histories.newest(requests, events, spans, 2)
    # Kept: events 2, 3 of the first request and 3, 4 of the second.
    assert start.tolist() == [2, 3, 6]
    assert unused == {"history_too_long": 2, "no_later_request": 2}


def test_an_empty_log():
    shown, done = random_log(0)
    shown, done = shown.slice(0, 0), done.slice(0, 0)
    requests, events, found = kernel(shown, done, schema("r", "p"), 0)
    assert found == [] and len(events.user) == 0 and requests.cut == 0
