"""The records of a shard against plain Python, one user at a time."""

from bisect import bisect_left

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.kernels import histories, timeline_records, timelines
from tfmm.records.example import encode
from tfmm.records.example_batch import framed_examples
from tfmm.records.ragged import Texts
from tfmm.records.spec import Feature, RequestSpec
from tfmm.records.tfrecord import framed
from tfmm.records.timeline import Column, columns
from tfmm.schema import Schema

TYPES = ("click", "view")
SHOP = Schema.model_validate(
    {
        "name": "random",
        "impressions": {
            "files": "x",
            "user": "u",
            "item": "i",
            "time": "t",
            "labels": ["click", "buy"],
            "position": "p",
        },
        "history": {"label": "click"},
        "requests": {"max_items": 3},
        "split": {"rule": "global_time", "validation_from": 5, "test_from": 7},
    }
)
FEATURES = tuple(
    Feature(f"{kind[0]}_{scope}", kind, scope, 9)
    for scope in ("user", "context", "candidate", "item")
    for kind in ("categorical", "numeric")
)
WORDS = st.sampled_from(["red", "", "Größe", None, "x" * 130])
NUMBERS = st.sampled_from([0.0, -1.25, 1e9, 0.1, None])
LABELS = st.sampled_from([0.0, 1.0, None])
SHOWN = {
    "user": st.integers(1, 4),
    "item": st.integers(1, 300),
    "time": st.integers(0, 8).map(lambda t: t * 1_000_000),
    "label:click": LABELS,
    "label:buy": LABELS,
    "position": st.sampled_from([1.0, 2.0, 300.0, -1.0, None]),
    "base_score": NUMBERS,
    "context:c_context": WORDS,
    "context:n_context": NUMBERS,
    "features:c_candidate": WORDS,
    "features:n_candidate": NUMBERS,
}
DONE = {key: SHOWN[key] for key in ("user", "item", "time")} | {
    "type": st.sampled_from(["click", "view", "gift"])
}
PEOPLE = {"features:c_user": WORDS, "features:n_user": NUMBERS}
KINDS = dict.fromkeys(("user", "item", "time"), pa.int64()) | dict.fromkeys(
    ("type", "context:c_context", "features:c_candidate", "features:c_user"),
    pa.string(),
)
ROLES = {"label_": "label:", "context_": "context:"} | dict.fromkeys(
    ("candidate_", "user_"), "features:"
)


def table(rows, names):
    """Rows as a table with the columns of these names."""
    kinds = [(name, KINDS.get(name, pa.float64())) for name in names]
    return pa.Table.from_pylist(rows, pa.schema(kinds))


def tables(columns):
    """Tables of up to thirty rows with the drawn columns."""
    rows = st.lists(st.fixed_dictionaries(columns), max_size=30)
    return rows.map(lambda drawn: table(drawn, columns))


@st.composite
def logs(draw):
    """A shard's log and a spec that takes all of it or only some."""
    shown, done = draw(tables(SHOWN)), draw(tables(DONE))
    people = None
    if draw(st.booleans()):
        rows = draw(st.dictionaries(st.integers(0, 5), st.fixed_dictionaries(PEOPLE)))
        found = [{"user": user, **row} for user, row in sorted(rows.items())]
        people = table(found, ("user", *PEOPLE))
    chosen = draw(st.sampled_from([(), FEATURES, FEATURES[:3], FEATURES[::-1]]))
    more = dict(position=draw(st.booleans()), base_score=draw(st.booleans()))
    spec = RequestSpec(9, 9, 9, chosen, TYPES, ("click", "buy"), 4, 3, **more)
    requests = timelines.requests_of(shown, SHOP)
    events = timelines.events_of(shown, done, SHOP, TYPES)
    return timelines.LogShard(requests, events, people), spec


def spans_of(shard, most):
    spans = histories.cuts(shard.requests, shard.events, 0)
    return histories.newest(shard.requests, shard.events, spans, most)[0], spans[1]


def role_of(name):
    for prefix, role in ROLES.items():
        if name.startswith(prefix):
            return role + name.removeprefix(prefix)
    return name


def filled(values, column):
    """A feature's values of one record, what is missing as records have it."""
    if column.type == "bytes":
        return [(value or "").encode() for value in values]
    missing = np.nan if column.name == "base_score" else 0
    plain = [missing if value is None else value for value in values]
    return np.array(plain).astype(column.type)


def reference(shard, spans, spec, part):
    """The framed records, one user, request and impression at a time."""
    requests, events = shard.requests, shard.events
    shown = requests.impressions.to_pylist()
    people = shard.users.to_pylist() if shard.users else []
    chosen = [r for r in range(len(requests.user)) if requests.part[r] == part]
    for user in dict.fromkeys(requests.user[r] for r in chosen):
        own = [r for r in chosen if requests.user[r] == user]
        past = [range(spans[0][r], spans[1][r]) for r in own]
        stored = sorted({event for history in past for event in history})
        items = [range(requests.first[r], requests.first[r + 1]) for r in own]
        record = {
            "user": [user],
            "event_item": events.item[stored],
            "event_type": events.type[stored],
            "event_time": events.time[stored],
            "request_time": [requests.time[r] for r in own],
            "request_start": [bisect_left(stored, spans[0][r]) for r in own],
            "request_cut": [bisect_left(stored, spans[1][r]) for r in own],
            "request_items": [len(places) for places in items],
        }
        rows = {
            "item": [shown[place] for places in items for place in places],
            "request": [shown[places[0]] for places in items],
            "user": [row for row in people if row["user"] == user] or [{}],
        }
        for column in columns(spec):
            values = record.get(column.name)
            if values is None:
                role = role_of(column.name)
                values = [row.get(role) for row in rows[column.per]]
            record[column.name] = filled(values, column)
        yield framed(encode(record))


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(1, 4))
def test_records_equal_the_reference(log, most):
    shard, spec = log
    spans = spans_of(shard, most)
    for part, _ in timelines.part_names():
        found = timeline_records.features(shard, spans, spec, part)
        expected = [*reference(shard, spans, spec, part)]
        assert b"".join(framed_examples(found)) == b"".join(expected)
        assert list(found) == [column.name for column in columns(spec)]
        counts = timeline_records.counts(found, spec)
        own = shard.requests.part == part
        assert counts["timelines"] == len(expected)
        assert counts["requests"] == own.sum()
        assert counts["impressions"] == np.diff(shard.requests.first)[own].sum()
        assert counts["positives"] == (found["label_click"].values == 1).sum()


def test_a_missing_logged_score_is_not_a_score_of_zero():
    values = pa.chunked_array([[0.25, None]])
    score, price = (
        timeline_records._values(values, Column(name, "item", "float32"))
        for name in ("base_score", "candidate_price")
    )
    assert np.isnan(score[1]) and score[0] == 0.25
    assert price.tolist() == [0.25, 0.0]


@pytest.mark.parametrize("part", [slice(0, 0), slice(0, 4), slice(1, 3), slice(3, 4)])
def test_texts_of_any_stretch(part):
    values = ["red", None, "", "Größe"]
    column = pa.chunked_array([values], pa.string())[part.start : part.stop]
    found = timeline_records._values(column, Column("user_x", "user", "bytes"))
    expected = Texts.of([(value or "").encode() for value in values[part]])
    assert len(found) == len(expected)
    for i in range(len(found)):
        assert found[i : i + 1].data.tobytes() == expected[i : i + 1].data.tobytes()
