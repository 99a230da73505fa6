import datetime
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.onboarding.check import check
from tfmm.schema import Schema

LOG = {
    # Two requests of ann (r1 with 2 items, r2 with 1), one each of bob and cat.
    "user": ["ann", "ann", "ann", "bob", "cat", "ann"],
    "item": ["hat", "cap", "shoe", "hat", "ghost", "hat"],
    "time": [100, 100, 200, 150, 300, 310],
    "click": [1, 0, 1, 0, 1, 0],
    "request": ["r1", "r1", "r2", "r3", "r4", "r5"],
}


def _schema(folder, log, split=None, **more):
    pq.write_table(pa.table(log), folder / "log.parquet")
    items = pa.table(
        {
            "id": ["hat", "cap", "shoe", "shoe"],
            "title": ["a hat", "", "a shoe", "again"],
            "image": ["hat.jpg", None, "gone.jpg", None],
        }
    )
    pq.write_table(items, folder / "items.parquet")
    (folder / "hat.jpg").write_bytes(b"there")
    content = {
        "name": "tiny",
        "items": {
            "files": "items.parquet",
            "id": "id",
            "title": "title",
            "image": "image",
        },
        "impressions": {
            "files": "log.parquet",
            "user": "user",
            "item": "item",
            "time": "time",
            "labels": ["click"],
            "request": "request",
        },
        "history": {"label": "click"},
        "split": split
        or {"rule": "global_time", "validation_from": 200, "test_from": 300},
        **more,
    }
    Schema.model_validate(content).to_yaml(folder / "schema.yaml")
    return Schema.from_yaml(folder / "schema.yaml")


def test_counts_of_a_hand_made_shop(tmp_path):
    report = check(_schema(tmp_path, LOG))
    assert report.rows == {"impressions": 6, "items": 4}
    assert (report.users, report.items) == (3, 4)
    assert report.label_rate == {"click": 0.5}
    assert report.in_items == pytest.approx(5 / 6)  # all but the ghost
    assert report.with_title == 0.75
    assert report.with_image == 0.5
    assert report.repeated_items == 1
    assert report.missing_files == 0.5
    log = report.log
    assert (log.first, log.last) == (100_000_000, 310_000_000)
    assert log.requests == 5
    assert log.candidates == (6 / 5, 2)
    # Clicks before: r1 0, r2 1 (hat at 100), r3 0, r4 0, r5 2 (hat, shoe).
    assert log.history == (pytest.approx(3 / 5), 0.0, 2)
    assert log.no_history == pytest.approx(3 / 5)
    sizes = {n: (p.requests, p.impressions, p.positives) for n, p in log.parts.items()}
    assert sizes == {"train": (2, 3, 1), "validation": (1, 1, 1), "test": (2, 2, 1)}
    assert log.parts["train"].both_classes == 1
    assert log.warm == 0.5  # of the two test rows, ann's alone


def test_events_make_histories(tmp_path):
    events = {"user": ["bob", "bob"], "item": ["hat", "cap"], "time": [10, 20]}
    pq.write_table(pa.table(events), tmp_path / "events.parquet")
    roles = {"files": "events.parquet", "user": "user", "item": "item", "time": "time"}
    report = check(_schema(tmp_path, LOG, events=roles))
    assert report.rows["events"] == 2
    assert report.log.no_history == pytest.approx(2 / 5)  # bob has two views now
    assert report.log.joined


def test_dead_letters_are_counted_by_reason(tmp_path):
    log = {**LOG, "click": [1, 0, 1, 0, 1, 7], "item": [None, *LOG["item"][1:]]}
    report = check(_schema(tmp_path, log))
    assert report.rows["impressions"] == 6
    assert report.dead_letters == {
        "impressions": {"item: no_item": 1, "click: not_label": 1}
    }
    assert any("cannot be read" in w for w in report.warnings)


@pytest.mark.parametrize(
    ("change", "split", "warning"),
    [
        ({"click": [0] * 6}, None, "nothing to learn"),
        ({"click": [1] * 6}, None, "nothing to learn"),
        ({"time": [100] * 6}, None, "All impressions have the same time"),
        ({"time": [9_000_000_000 + t for t in range(6)]}, None, "in the future"),
        ({}, {"rule": "global_time", "test_from": 999}, "test split has no rows"),
        ({}, {"rule": "global_time", "test_from": 1}, "train split has no rows"),
        ({"item": ["0hat"] * 6}, None, "Only 0% of the impressions show an item"),
    ],
)
def test_warns_with_advice(tmp_path, change, split, warning):
    report = check(_schema(tmp_path, {**LOG, **change}, split))
    assert any(warning in found for found in report.warnings)


def test_renders_without_ids(tmp_path):
    log = {**LOG, "time": [datetime.datetime(2024, 1, d) for d in range(1, 7)]}
    report = check(_schema(tmp_path, log))
    out = io.StringIO()
    Console(file=out, width=100).print(report.render())
    text = out.getvalue()
    assert "2024-01-01 00:00:00 to 2024-01-06 00:00:00 UTC" in text
    assert "impressions 6" in text
    assert "ann" not in text.replace("cannot", "")


def test_no_readable_impression_is_an_error(tmp_path):
    with pytest.raises(TfmmError, match="click"):
        check(_schema(tmp_path, {**LOG, "click": [2] * 6}))
