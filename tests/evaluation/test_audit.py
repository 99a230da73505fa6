import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.evaluation import audit_timelines
from tfmm.records.example import encode
from tfmm.records.manifest import write_manifest
from tfmm.records.spec import Feature, RequestSpec
from tfmm.records.tfrecord import write_records
from tfmm.records.timeline import KIND
from tfmm.records.vocabularies import ItemTable, Vocabularies

NOW, SECOND, HOUR = 1_700_000_000_000_000, 1_000_000, 3_600_000_000
USERS, REQUESTS, SHOWN, ITEMS = 40, 25, 5, 50
FEATURES = (
    Feature("age", "categorical", "user", 9),
    Feature("hour", "categorical", "context", 9),
    Feature("discount", "numeric", "candidate", 0),
    Feature("badge", "categorical", "candidate", 9),
    Feature("color", "categorical", "item", 9),
    Feature("price", "numeric", "item", 0),
)
SPEC = RequestSpec(
    USERS + 2, ITEMS, ITEMS, FEATURES, ("click",), ("click",), 10, SHOWN, True
)


def vocabularies(rng):
    codes = rng.integers(0, 9, [ITEMS, 1]).astype("int32")
    numbers = rng.normal(size=[ITEMS, 1]).astype("float32")
    rows = np.arange(ITEMS, dtype="int32")
    return Vocabularies({}, ItemTable(rows, codes, numbers, rows), SPEC, {})


def timeline(rng, user):
    """A user's requests, an hour apart; a fifth of the items is clicked."""
    label = (rng.random([REQUESTS, SHOWN]) < 0.2).astype("float32")
    item = np.stack([rng.permutation(ITEMS - 2)[:SHOWN] + 2 for _ in label])
    time = NOW + HOUR * np.arange(REQUESTS) + rng.integers(HOUR // 2, size=REQUESTS)
    texts = [f"{x}".encode() for x in rng.integers(5, size=REQUESTS)]
    return {
        "user": np.array([user]),
        "time": time,
        "item": item,
        "label": label,
        "event_time": np.repeat(time, SHOWN)[label.ravel() > 0],
        "event_item": item.ravel()[label.ravel() > 0],
        "user_age": [b"30" if user % 3 else b"40"],
        "context_hour": texts,
        "candidate_discount": rng.normal(size=label.size).astype("float32"),
        "candidate_badge": [f"{x}".encode() for x in rng.integers(5, size=label.size)],
        "position": np.tile(np.arange(SHOWN), REQUESTS),
    }


def record(found, late=0):
    """The timeline record; with `late`, histories reach that many events too far."""
    order = np.argsort(found["event_time"], kind="stable")
    events = found["event_time"][order]
    cut = np.searchsorted(events, found["time"], "left") + late
    cut = np.minimum(cut, len(events))
    names = ("user_age", "context_hour", "candidate_discount", "candidate_badge")
    return {
        "user": found["user"],
        "event_item": found["event_item"][order],
        "event_type": np.full(len(events), 2),
        "event_time": events,
        "request_time": found["time"],
        "request_start": np.maximum(0, cut - 10),
        "request_cut": cut,
        "request_items": np.full(REQUESTS, SHOWN),
        "item": found["item"].ravel(),
        "label_click": found["label"].ravel(),
        **{name: found[name] for name in names},
        "position": found["position"],
    }


@pytest.fixture
def audited(tmp_path):
    """Audits a log that `change` has spoiled, timeline by timeline."""

    def audit(change=lambda found, vocabulary: None, late=0, **options):
        rng = np.random.default_rng(0)
        known = vocabularies(rng)
        records = []
        for user in range(USERS):
            found = timeline(rng, user + 7)
            change(found, known)
            records.append(encode(record(found, late)))
        folder = tmp_path / "timelines"
        folder.mkdir()
        for number in range(2):
            write_records(folder / f"{number}.tfrecord", records[number::2])
        counts = {"timelines": USERS, "requests": USERS * REQUESTS, "written": 1}
        write_manifest(folder, kind=KIND, counts=counts)
        return audit_timelines(folder, known, **options)

    return audit


def names(audit):
    return [finding.name for finding in audit.findings]


def test_a_clean_log_passes(audited):
    audit = audited()
    assert audit.findings == ()
    assert (audit.requests, audit.impressions) == (1000, 5000)
    audit.refuse()


def test_the_simulated_marketplace_passes(simulated):
    _, out, _ = simulated
    known = Vocabularies.open(out / "vocabularies")
    for part in ("train", "test"):
        audit = audit_timelines(out / "timelines" / part, known)
        assert audit.findings == (), part
        assert audit.requests > 50


def test_events_of_the_requests_own_moment(audited):
    audit = audited(late=1)
    assert "late_events" in names(audit)
    with pytest.raises(TfmmError, match=r"such as user 0{15}\w at 2023-11-14T"):
        audit.refuse()
    with pytest.raises(TfmmError, match="know the request's own moment"):
        audit.refuse(allow=["late_events", "own_click"])


@pytest.mark.parametrize("seconds", [0.5, 40])
def test_events_logged_before_their_impression(audited, seconds):
    def early(found, _):
        found["event_time"] = found["event_time"] - int(seconds * SECOND)

    audit = audited(early)
    assert names(audit) == ["own_click"]
    with pytest.raises(TfmmError, match=r"667 of 700 such candidates \(95\.3%\)"):
        audit.refuse()
    audit.refuse(allow=["own_click"])


def test_a_second_source_of_the_same_clicks(audited):
    """The other half of the events is right: only some clicks are twice there."""

    def twice(found, _):
        again = np.arange(len(found["event_time"])) % 3 == 0
        early = found["event_time"][again] - 90 * SECOND
        found["event_time"] = np.r_[found["event_time"], early]
        found["event_item"] = np.r_[found["event_item"], found["event_item"][again]]

    assert names(audited(twice)) == ["own_click"]


def test_times_rounded_to_the_hour(audited):
    def rounded(found, _):
        found["event_time"] = found["event_time"] // HOUR * HOUR

    assert names(audited(rounded)) == ["own_click"]


def test_what_was_just_seen_may_be_clicked_more_often(audited):
    """The newest item of the history is shown again and clicked half the time."""

    def again(found, _):
        events = iter(zip(found["event_time"], found["event_item"], strict=True))
        seen, newest = next(events, None), None
        for place, time in enumerate(found["time"]):
            while seen is not None and seen[0] < time:
                newest, seen = seen[1], next(events, None)
            if newest is not None and newest not in found["item"][place]:
                found["item"][place, 0] = newest
        rng = np.random.default_rng(1)
        first = found["label"][:, 0] == 0
        found["label"][first & (rng.random(REQUESTS) < 0.4), 0] = 1

    assert audited(again).findings == ()


@pytest.mark.parametrize(
    ("feature", "planted"),
    [
        ("candidate_discount", lambda y: y + np.random.default_rng(0).normal(0, 0.1)),
        ("candidate_discount", lambda y: -y),
        ("candidate_badge", lambda y: [b"sold" if x else b"" for x in y]),
        ("position", lambda y: (1 - y).astype(int)),
    ],
)
def test_a_feature_written_after_the_click(audited, feature, planted):
    def plant(found, _):
        found[feature] = planted(found["label"].ravel())
        if isinstance(found[feature], np.ndarray) and feature != "position":
            found[feature] = found[feature].astype("float32")

    audit = audited(plant)
    assert names(audit) == [feature]
    with pytest.raises(TfmmError, match=rf"`{feature}` alone tells `click`\. Exp"):
        audit.refuse(allow=["own_click"])
    audit.refuse(allow=[feature])


def test_an_item_feature_that_is_the_label(audited):
    def plant(found, known):
        liked = known.items.numbers[:, 0] > 0.5
        found["label"] = liked[found["item"]].astype("float32")
        found["event_time"] = np.repeat(found["time"], SHOWN)[
            found["label"].ravel() > 0
        ]
        found["event_item"] = found["item"][found["label"] > 0]

    assert "item_price" in names(audited(plant))


def test_a_sample_is_enough(audited):
    audit = audited(most=300)
    assert audit.requests == 300
    assert audit.findings == ()


def test_logs_without_times_are_judged_by_the_newest_event(audited):
    def numbered(found, _):
        found["time"] = np.arange(1, REQUESTS + 1) * 100
        times = np.repeat(found["time"], SHOWN)[found["label"].ravel() > 0]
        found["event_time"] = times - 1

    with pytest.raises(TfmmError, match=r"as its newest event .* at 300"):
        audited(numbered).refuse()


def test_one_class_says_nothing(audited):
    def never(found, _):
        found["label"] = np.zeros_like(found["label"])
        found["event_time"], found["event_item"] = np.zeros([2, 0], int)

    assert audited(never).findings == ()


def test_numbers_that_are_nan_are_left_to_the_reader(audited):
    def plant(found, _):
        found["candidate_discount"][::3] = np.nan
        found["candidate_discount"][1::3] = np.inf

    assert audited(plant).findings == ()
