import io

import pyarrow as pa
import pytest
import shop
from sample_pictures import encoded, noise

from beam_jobs import search_pairs
from beam_jobs.kernels import pairs as kernel
from tfmm.errors import TfmmError
from tfmm.records.example import decode
from tfmm.records.index import ItemIndex
from tfmm.records.tfrecord import records_in

GOOD = encoded(noise((20, 20)))


def run(folder, searches, index=("a", "b", "c"), **changes):
    tables = {"searches": searches}
    schema = shop.write(folder / "shop", tables, **changes)
    ItemIndex.create(index).save(folder / "index")
    places = (str(folder / "index"), str(folder / "pairs"))
    return search_pairs.run(str(schema), *places, control=shop.ANY_BAD)


def test_pairs_by_hand(hand_made):
    _, out, manifests = hand_made
    train, test = shop.records(out / "pairs/train"), shop.records(out / "pairs/test")
    # Bought a = row 2; clicked c, a, b, c without the bought one: rows 3 and 4.
    assert train == [
        {
            "query_text": [b"red shoes"],
            "query_image": [b""],
            "item": [2],
            "negatives": [3, 4],
            "time": [120_000_000],
            "source": [0],
            "query_item": [0],
            "positives": [],
        }
    ]
    assert [(r["query_text"], r["item"], r["negatives"]) for r in test] == [
        ([b"hat"], [6], [])
    ]
    manifest = manifests["pairs"]
    assert manifest["counts"] == {"read": 2, "written": 2, "dropped": {}}
    assert manifest["parts"] == {"train": 1, "test": 1}


def test_searches_that_are_left_out_are_counted(tmp_path):
    pictures = [GOOD, b"no picture", b"no picture", None, GOOD, None, GOOD]
    searches = {
        "time": [1, 2, 3, 4, None, 6, 7],
        "bought": ["a", "a", "a", "a", "a", "newer", None],
        "text": ["x", "words", None, " ", "x", "x", "x"],
        "picture": pa.array(pictures, pa.binary()),
        "clicked": [[], ["newer"], None, [], [], [], []],
    }
    manifest = run(tmp_path, searches)
    assert manifest["counts"] == {
        "read": 7,
        "written": 2,
        "dropped": {
            "no_bought": 1,
            "no_query": 1,
            "no_time": 1,
            "not_a_picture": 1,
            "not_in_index": 1,
        },
    }
    assert shop.letters(tmp_path / "pairs") == [
        ("searches.parquet", 1, "picture", "not_a_picture"),
        ("searches.parquet", 2, "picture", "not_a_picture"),
        ("searches.parquet", 3, "picture", "no_query"),
        ("searches.parquet", 4, "time", "no_time"),
        ("searches.parquet", 5, "bought", "not_in_index"),
        ("searches.parquet", 6, "bought", "no_bought"),
    ]
    records = shop.records(tmp_path / "pairs/train")
    found = {(bool(r["query_image"][0]), r["query_text"][0]) for r in records}
    assert found == {(True, b"x"), (False, b"words")}
    assert [r["negatives"] for r in records] == [[], []]
    assert manifest["sources"] == {"search": {"pairs": 2, "image": 1, "text": 2}}
    dropped = {"not_in_index": 1}
    assert manifest["clicked"] == {"read": 1, "written": 0, "dropped": dropped}


def test_clicks_that_become_no_negatives_are_counted(tmp_path):
    searches = {
        "time": [1, 2, 3],
        "bought": ["a", "a", "b"],
        "text": ["x", "", "x"],
        "picture": pa.array([None] * 3, pa.binary()),
        "clicked": [["zz", "b", "b", ""], ["a", "c", "zz", "yy"], []],
    }
    manifest = run(tmp_path, searches)
    dropped = {"bought_item": 1, "no_query": 1, "not_in_index": 3, "repeated": 1}
    assert manifest["clicked"] == {"read": 7, "written": 1, "dropped": dropped}
    records = shop.records(tmp_path / "pairs/train")
    assert sorted(r["negatives"] for r in records) == [[], [3]]


def test_pairs_leave_a_shard_few_at_a_time(monkeypatch):
    pair = {"search": 0, "time": 1, "source": 0, "query_text": "", "query_image": b""}
    pair |= {"query_item": 0, "negatives": []}
    found = [pair | {"origin": i // 2, "item": i, "source": i % 2} for i in range(20)]
    found[7]["search"] = found[8]["search"] = 5
    table = pa.Table.from_pylist(found, kernel.SCHEMA)
    whole = b"".join(kernel.framed_records(table))
    records = [decode(record) for record in records_in(io.BytesIO(whole), "")]
    assert sorted(record["item"][0] for record in records) == list(range(20))
    assert {x["item"][0]: x["positives"] for x in records}[7] == [8]
    monkeypatch.setattr(kernel, "_BYTES_AT_ONCE", table.nbytes // 6)
    shuffled = table.take(pa.array([*range(1, 20, 2), *range(0, 20, 2)]))
    few = list(kernel.framed_records(shuffled))
    assert len(few) > 5 and b"".join(few) == whole


def test_the_test_has_shards_as_training_has(tmp_path):
    count = 40
    searches = {
        "time": [400] * count,
        "bought": ["a"] * count,
        "text": [f"{i}" for i in range(count)],
        "picture": pa.array([GOOD] * count, pa.binary()),
        "clicked": [[]] * count,
    }
    run(tmp_path, searches)
    files = sorted((tmp_path / "pairs/test").glob("*.tfrecord"))
    assert [file.name for file in files] == [
        f"pairs-{i:05d}-of-00008.tfrecord" for i in range(8)
    ]
    assert len(shop.records(tmp_path / "pairs/test")) == count


def test_the_last_fraction_of_all_searches_is_the_test(tmp_path):
    times = [5, 3, 1, 4, 2, 4]
    searches = {
        "time": times,
        "bought": ["a"] * 6,
        "text": [str(time) for time in times],
        "picture": pa.array([None] * 6, pa.binary()),
        "clicked": [[]] * 6,
    }
    split = {"rule": "per_user_last_fraction", "test_fraction": 0.34}
    run(tmp_path, searches, split=split)
    # floor(0.66 * 6) = 3 of 1 2 3 4 4 5 train; the fourth's moment starts the test.
    train = shop.records(tmp_path / "pairs/train")
    test = shop.records(tmp_path / "pairs/test")
    assert sorted(r["query_text"][0] for r in train) == [b"1", b"2", b"3"]
    assert sorted(r["query_text"][0] for r in test) == [b"4", b"4", b"5"]


def test_a_schema_without_searches(tmp_path):
    schema = shop.write(tmp_path, {}, searches=None)
    with pytest.raises(TfmmError, match="no `searches`"):
        search_pairs.run(str(schema), "index", "pairs")
