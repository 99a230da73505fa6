"""Days added to timelines one after the other equal one run over all of them."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shop

from beam_jobs import behaviours, item_index, vocabularies
from beam_jobs.stretch import Stretch
from tfmm.errors import TfmmError

FIRST = datetime.date(2026, 3, 1)
DAY = 86_400
START = int(datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC).timestamp())
KINDS = ("view", "cart")
PARTS = ("train", "validation", "test", "carried")


def day(number):
    return str(FIRST + datetime.timedelta(days=number))


def log(seed, days=6, rows=150):
    """A dense log: few users and moments, requests over several seconds."""
    rng = np.random.default_rng(seed)
    request = rng.integers(0, 60, rows)
    opened = rng.integers(0, days * 8, 60) * (DAY // 8)
    shown = {
        "user": [f"u{x}" for x in request % 7],
        "item": [f"i{x}" for x in rng.integers(0, 9, rows)],
        "time": START + opened[request] + rng.integers(0, 3, rows),
        "click": rng.integers(0, 2, rows),
        "request": [f"r{x}" for x in request],
        "position": rng.integers(0, 4, rows),
        "hour": [str(x) if x else None for x in request % 5],
        "discount": rng.random(rows),
    }
    done = {
        "user": [f"u{x}" for x in rng.integers(0, 9, rows)],
        "item": [f"i{x}" for x in rng.integers(0, 9, rows)],
        "time": START + rng.integers(0, days * 8, rows) * (DAY // 8),
        "type": rng.choice(KINDS, rows),
    }
    return pa.table(shown), pa.table(done)


class Shop:
    """A shop whose log can be read by days."""

    def __init__(self, folder, seed=0, **changes):
        self.folder = folder
        split = {
            "rule": "global_time",
            "validation_from": START + 2 * DAY,
            "test_from": START + 3 * DAY,
        }
        self.rules = {"items": None, "searches": None, "split": split} | changes
        self.impressions, self.events = log(seed)
        self.write()
        (folder / "key").write_bytes(shop.KEY)
        schema, index = str(self.schema), str(folder / "index")
        item_index.run(schema, index)
        vocabularies.run(schema, index, str(folder / "words"), str(folder / "key"))

    def write(self, shown=None, done=None, **changes):
        tables = {
            "impressions": (self.impressions if shown is None else shown).to_pydict(),
            "events": (self.events if done is None else done).to_pydict(),
            "users": {"user": ["u1", "u2"], "age": ["30", "40"], "income": [1.0, 2.0]},
        }
        self.schema = shop.write(self.folder / "shop", tables, **self.rules | changes)

    def run(self, output, first=None, last=None, previous=None, lateness=0):
        return behaviours.run(
            str(self.schema),
            str(self.folder / "index"),
            str(self.folder / "words"),
            str(self.folder / output),
            str(self.folder / "key"),
            previous=None if previous is None else str(self.folder / previous),
            from_day=None if first is None else day(first),
            to_day=None if last is None else day(last),
            lateness_days=lateness,
            control=shop.ANY_BAD,
        )

    def content(self, output):
        found = {part: shop.content(self.folder / output / part) for part in PARTS[:3]}
        carried = (self.folder / output / "carried").iterdir()
        return found | {path.name: path.read_bytes() for path in sorted(carried)}


CASES = {
    "plain": {},
    "short histories": {"history": {"label": "click", "max_length": 3}},
    "no label, a lag": {"history": {"lag_seconds": 40_000}},
    "sampled": {"requests": {"max_items": 3, "negative_rate": 0.4}},
    "windows": {
        "impressions": {k: v for k, v in shop.SCHEMA["impressions"].items()}
        | {"request": None},
        "requests": {"window_seconds": 15_000},
    },
    "by user": {
        "split": {
            "rule": "per_user_last_fraction",
            "test_fraction": 0.2,
            "validation_fraction": 0.2,
        }
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(2))
def test_day_after_day_is_as_all_at_once(tmp_path, case, seed):
    made = Shop(tmp_path, seed, **CASES[case])
    made.run("grown", None, 4)
    grown = made.run("grown", 5, 5, previous="grown")
    whole = made.run("whole", None, 5)
    assert made.content("grown") == made.content("whole")
    assert grown["parts"] == whole["parts"]
    # All seven users were there in the last days, so that all records are new.
    written = sum(part["impressions"] for part in grown["parts"].values())
    assert grown["rewritten"]["written"] == written == whole["counts"]["written"]
    assert grown["counts"]["dropped"] == {} and "rewritten" not in whole


@pytest.mark.slow
def test_several_days_and_one_of_them_again(tmp_path):
    made = Shop(tmp_path)
    made.run("grown", None, 3, lateness=1)
    made.run("grown", 4, 5, previous="grown", lateness=1)
    made.run("grown", 5, 5, previous="grown", lateness=1)
    made.run("whole", None, 5, lateness=1)
    assert made.content("grown") == made.content("whole")


@pytest.mark.slow
def test_late_events_change_what_came_after_them(tmp_path):
    made = Shop(tmp_path)
    late = made.events["time"].to_numpy() // (DAY // 8) % 3 == 0
    after = made.events["time"].to_numpy() >= START + 3 * DAY
    made.write(done=made.events.filter(pa.array(~(late & after))))
    made.run("grown", None, 4, lateness=2)
    made.run("other", None, 5, lateness=2)
    made.write()
    made.run("grown", 5, 5, previous="grown", lateness=2)
    made.run("whole", None, 5, lateness=2)
    assert made.content("grown") == made.content("whole")
    assert made.content("grown") != made.content("other")


@pytest.mark.slow
def test_the_split_may_move_on(tmp_path):
    made = Shop(tmp_path)
    made.run("grown", None, 4)
    moved = {
        "rule": "global_time",
        "validation_from": START + 4 * DAY,
        "test_from": START + 5 * DAY,
    }
    made.write(split=moved)
    made.run("grown", 5, 5, previous="grown")
    made.run("whole", None, 5)
    assert made.content("grown") == made.content("whole")


def test_only_the_days_are_read(tmp_path):
    made = Shop(tmp_path)
    made.run("grown", None, 4)
    days = made.impressions["time"].to_numpy() // DAY - START // DAY
    order = pa.array(np.argsort(days, kind="stable"))
    path = tmp_path / "shop/impressions.parquet"
    pq.write_table(made.impressions.take(order), path, row_group_size=10)
    manifest = made.run("grown", 5, 5, previous="grown")
    today = int((days == 5).sum())
    assert manifest["counts"]["read"] == today
    # Of the other days, only what shares a group of ten rows with this one.
    assert manifest["outside"]["impressions"] < 10
    assert sum(x["impressions"] for x in manifest["parts"].values()) > today


@pytest.mark.slow
def test_times_as_texts_are_read_wherever_they_are(tmp_path):
    """Their order is not that of the moments, nor is that of a group's bounds."""
    made = Shop(tmp_path)
    zones = [datetime.timezone(datetime.timedelta(hours=x)) for x in (-10, 0, 12)]
    times = [
        datetime.datetime.fromtimestamp(moment, zones[i % 3]).isoformat()
        for i, moment in enumerate(made.impressions["time"].to_pylist())
    ]
    named = made.impressions.set_column(2, "time", pa.array(times))
    made.write(shown=named)
    path = tmp_path / "shop/impressions.parquet"
    pq.write_table(named, path, row_group_size=2)
    made.run("grown", None, 4)
    made.run("grown", 5, 5, previous="grown")
    made.run("whole", None, 5)
    assert made.content("grown") == made.content("whole")


def test_what_cannot_be_added_is_refused(tmp_path):
    made = Shop(tmp_path)
    made.run("without", None, None)
    with pytest.raises(TfmmError, match="carries nothing over"):
        made.run("grown", 5, 5, previous="without")
    made.run("grown", None, 3)
    for first, last, message in (
        (5, 5, "Days would be missing"),
        (2, 5, "can take events from 2026-03-04"),
        (None, 5, "needs the days to add"),
    ):
        with pytest.raises(TfmmError, match=message):
            made.run("grown", first, last, previous="grown")
    made.write(history={"label": "click", "max_length": 7})
    with pytest.raises(TfmmError, match="made by other rules"):
        made.run("grown", 4, 4, previous="grown")
    manifest = json.loads((tmp_path / "grown/manifest.json").read_text())
    assert manifest["until"] == (START + 4 * DAY) * 1_000_000


def test_days():
    made = Stretch.of("2026-03-01", "2026-03-02", 0.5)
    assert made.said() == "2026-02-28T12:00:00 to 2026-03-03T00:00:00"
    for first, last, lateness in (
        ("2026-03-02", "2026-03-01", 0),
        ("March", None, 0),
        (None, "2026-03-01", -1),
    ):
        with pytest.raises(TfmmError, match="Received"):
            Stretch.of(first, last, lateness)
