import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import shop

from beam_jobs import behaviours
from tfmm.errors import TfmmError
from tfmm.identity import user_key
from tfmm.records.index import ItemIndex

U1, U2 = user_key("u1", shop.KEY), user_key("u2", shop.KEY)
A, B, C, D = 2, 3, 4, 5  # rows
CART, CLICK, VIEW = 2, 3, 4  # codes
S = 1_000_000


def by_user(folder):
    return {record["user"][0]: record for record in shop.records(folder)}


def test_train_timelines_by_hand(hand_made):
    _, out, _ = hand_made
    train = by_user(out / "timelines/train")
    assert set(train) == {U1, U2}
    assert train[U1] == {
        "user": [U1],
        "event_item": [A, C],
        "event_type": [CLICK, CART],
        "event_time": [100 * S, 150 * S],
        "request_time": [100 * S, 200 * S],
        "request_start": [0, 0],
        "request_cut": [0, 2],  # the click and the view at 200 are not in r2's history
        "request_items": [2, 2],
        "item": [A, B, C, B],  # by position
        "label_click": [1.0, 0.0, 0.0, 1.0],
        "user_age": [b"30"],
        "user_income": [2.5],
        "context_hour": [b"9", b"9"],
        "candidate_discount": np.float32([0.1, 0.2, 0.4, 0.3]).tolist(),
        "position": [1, 2, 1, 2],
    }
    assert train[U2]["event_item"] == [] and train[U2]["request_cut"] == [0]
    assert train[U2]["user_age"] == [b""] and train[U2]["context_hour"] == [b""]


def test_test_timelines_hold_the_full_prefix(hand_made):
    _, out, _ = hand_made
    test = by_user(out / "timelines/test")
    assert set(test) == {U1}
    # r3 knows four events and keeps the newest two: click b and view c at 200.
    assert test[U1]["event_item"] == [B, C]
    assert test[U1]["event_type"] == [CLICK, VIEW]
    assert (test[U1]["request_start"], test[U1]["request_cut"]) == ([0], [2])
    assert test[U1]["item"] == [D]  # only the log knows it
    assert by_user(out / "timelines/validation") == {}


def test_counts_by_hand(hand_made):
    manifest = hand_made[2]["timelines"]
    assert manifest["counts"] == {"read": 6, "written": 6, "dropped": {}}
    assert manifest["histories"] == {
        "read": 4,
        "written": 4,
        "dropped": {},
    }
    train = {"timelines": 2, "requests": 3, "impressions": 5, "positives": 2}
    assert manifest["parts"]["train"] == {"written": 5} | train


@pytest.mark.parametrize("name", ["hand_made", "simulated"])
def test_the_counts_of_every_stage_add_up(name, request):
    schema, out, manifests = request.getfixturevalue(name)
    for folder, table in (
        ("items", "items"),
        ("pairs", "searches"),
        ("timelines", "impressions"),
    ):
        counts = manifests[folder]["counts"]
        rows = pa.parquet.read_metadata(schema.parent / f"{table}.parquet").num_rows
        assert counts["read"] == rows and shop.adds_up(counts)
    for folder, facts in (
        ("items", ["pictures", "titles"]),
        ("pairs", ["pictures"]),
        ("timelines", ["events", "users", "histories"]),
    ):
        for fact in facts:
            assert shop.adds_up(manifests[folder][fact]), (folder, fact)
    for folder in ("index", "vocabularies"):
        assert shop.adds_up(manifests[folder]["counts"])
    assert len(shop.records(out / "items")) == manifests["items"]["counts"]["written"]
    pairs, timelines = manifests["pairs"], manifests["timelines"]
    assert sum(pairs["parts"].values()) == pairs["counts"]["written"]
    parts = timelines["parts"]
    shown = sum(part["impressions"] for part in parts.values())
    assert shown == timelines["counts"]["written"]
    stored = 0
    for part, counts in parts.items():
        records = shop.records(out / "timelines" / part)
        assert counts["timelines"] == len(records)
        assert counts["requests"] == sum(len(r["request_time"]) for r in records)
        assert counts["impressions"] == sum(len(r["item"]) for r in records)
        assert counts["positives"] == sum(sum(r["label_click"]) for r in records)
        stored += sum(sum(r["request_items"]) for r in records)
    assert stored == shown


MESSY = {
    "impressions": shop.TABLES["impressions"]
    | {
        "user": ["u1", "u1", "u1", None, "u1", "u2"],
        "time": ["100", "100", "100", "200", "late", "250"],
        "click": [1, 0, 5, 0, 0, 0],
        "request": ["r1", "r1", "r1", "r2", "r3", "r4"],
    },
    "events": {
        "user": ["u2", "u2", "u2", "u1", "u2"],
        "item": ["zz", "b", "b", "a", "c"],
        "time": [240, 10, 10, 5, 260],
        "type": ["view", None, "view", "cart", "view"],
    },
    "users": {"user": ["u1", "u1", ""], "age": ["1", "2", "3"], "income": [1, 2, 3]},
}


def test_a_messy_log(tmp_path):
    schema = shop.write(
        tmp_path / "shop",
        shop.TABLES | MESSY,
        requests={"max_items": 1},
        history={"label": "click", "max_length": 1},
        split={"rule": "global_time", "test_from": 240},
    )
    manifest = shop.build(schema, tmp_path / "out")["timelines"]
    folder = tmp_path / "out/timelines"
    assert sorted(shop.letters(folder)) == [
        ("impressions.parquet", 2, "click", "not_label"),
        ("impressions.parquet", 3, "user", "no_user"),
        ("impressions.parquet", 4, "time", "not_time"),
        ("users.parquet", 2, "user", "not_id"),
    ]
    assert manifest["counts"] == {
        "read": 6,
        "written": 2,
        "dropped": {
            "no_user": 1,
            "not_label": 1,
            "not_time": 1,
            "request_too_long": 1,
        },
    }
    assert manifest["events"]["dropped"] == {"repeated": 1}
    assert manifest["users"]["dropped"] == {"not_id": 1, "repeated_id": 1}
    # Five events: of u2, view b (10) is over the cap, view zz (240) stays, view c
    # (260) comes too late; of u1, cart a (5) stays, and click a (100) comes too late.
    assert manifest["histories"] == {
        "read": 5,
        "written": 2,
        "dropped": {"history_too_long": 1, "no_later_request": 2},
    }
    train, test = by_user(folder / "train"), by_user(folder / "test")
    index = ItemIndex.open(tmp_path / "out/index")
    assert train[U1]["item"] == [A] and train[U1]["event_item"] == [A]
    assert train[U1]["user_age"] == [b"1"]
    assert test[U2]["event_item"] == index.rows_of(["zz"]).tolist()


def shuffled(seed):
    rng = np.random.default_rng(seed)
    tables = {name: pa.table(columns) for name, columns in shop.TABLES.items()}
    return {
        name: table.take(rng.permutation(table.num_rows))
        for name, table in tables.items()
    }


@pytest.mark.slow
def test_the_order_of_rows_never_matters(hand_made, tmp_path):
    _, out, _ = hand_made
    for seed in (0, 1):
        schema = shop.write(tmp_path / f"shop{seed}", shuffled(seed))
        shop.build(schema, tmp_path / f"out{seed}")
        for folder in ("index", "vocabularies", "timelines", "items"):
            again = shop.content(tmp_path / f"out{seed}" / folder)
            assert again == shop.content(out / folder), folder


def test_csv_and_json_lines_give_the_same_records(hand_made, tmp_path):
    _, out, _ = hand_made
    base = tmp_path / "shop"
    base.mkdir()
    tables = {name: pa.table(columns) for name, columns in shop.TABLES.items()}
    files = {}
    for name, table in tables.items():
        if name in ("impressions", "users"):
            pa.csv.write_csv(table, base / f"{name}.csv")
        else:
            rows = map(json.dumps, table.to_pylist())
            (base / f"{name}.jsonl").write_text("\n".join(rows))
        suffix = "csv" if name in ("impressions", "users") else "jsonl"
        files[name] = shop.SCHEMA[name] | {"files": f"{name}.{suffix}"}
    schema = shop.write(base, {}, **files)
    shop.build(schema, tmp_path / "out")
    for folder in ("index", "vocabularies", "timelines", "items", "pairs"):
        assert shop.content(tmp_path / "out" / folder) == shop.content(out / folder)


def test_each_users_last_fraction(tmp_path):
    split = {"rule": "per_user_last_fraction", "test_fraction": 0.4}
    schema = shop.write(tmp_path / "shop", split=split, events=None)
    manifest = shop.build(schema, tmp_path / "out")["timelines"]
    # u1 asks at 100, 200, 300: floor(0.6 * 3) = 1 trains; u2's only request tests.
    requests = {part: n["requests"] for part, n in manifest["parts"].items()}
    assert requests == {"train": 1, "validation": 0, "test": 3}


def test_a_log_without_any_optional_part(tmp_path):
    schema = shop.write(
        tmp_path / "shop",
        {"impressions": shop.TABLES["impressions"]},
        impressions=shop.LOG | {"labels": ["click"]},
        items=None,
        events=None,
        users=None,
        searches=None,
        history={},
    )
    manifest = shop.build(schema, tmp_path / "out")["timelines"]
    assert manifest["counts"]["written"] == 6
    train = by_user(tmp_path / "out/timelines/train")
    # Without request ids a moment is a request, its items in the order of rows.
    assert train[U1]["item"] == [A, B, B, C]
    assert train[U1]["event_item"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "words"),
    [
        (
            {"rule": "global_time", "test_from": 301},
            ["no request for test.", "test_from 1970-01-01T00:05:01."],
        ),
        (
            {"rule": "global_time", "validation_from": 90, "test_from": 310},
            ["no request for train and test.", "validation_from 1970-01-01T00:01:30"],
        ),
        (
            {"rule": "per_user_last_fraction", "test_fraction": 0.9},
            ["no request for train.", "the last 0.9 of the moments", "Lower"],
        ),
    ],
)
def test_a_split_without_training_or_test_is_refused(tmp_path, split, words):
    schema = shop.write(tmp_path / "shop", split=split, searches=None)
    with pytest.raises(TfmmError) as error:
        shop.build(schema, tmp_path / "out")
    span = "from 1970-01-01T00:01:40 to 1970-01-01T00:05:00"  # 100 s to 300 s
    for word in (*words, span, "schema's `split`"):
        assert word in str(error.value)
    assert not (tmp_path / "out/timelines").exists()


def test_vocabularies_of_another_key_are_refused(hand_made, tmp_path):
    schema, out, _ = hand_made
    (tmp_path / "key").write_bytes(shop.KEY[::-1])
    with pytest.raises(TfmmError, match="hashed with another key"):
        behaviours.run(
            str(schema),
            str(out / "index"),
            str(out / "vocabularies"),
            str(tmp_path / "timelines"),
            str(tmp_path / "key"),
        )
    assert not (tmp_path / "timelines").exists()
