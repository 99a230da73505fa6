import pyarrow as pa
import pytest
import shop

from beam_jobs import behaviours, item_index, item_media, vocabularies
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex

SMALL = {"searches": None, "events": None, "users": None}
LOG = {"impressions": shop.LOG | {"labels": ["click"]}, "history": {}}


def test_catalogue_first_then_what_only_logs_know(hand_made):
    _, out, manifests = hand_made
    index = ItemIndex.open(out / "index")
    # d is in the impressions alone, e in the searches alone.
    assert index.ids == ["a", "b", "c", "d", "e"] and index.id_type == "string"
    counts = manifests["index"]["counts"]
    assert shop.adds_up(counts)
    assert (counts["read"], counts["only_in_logs"], counts["gone"]) == (5, 2, 0)
    rows = {table: manifests["index"][table]["read"] for table in item_index.ROLES}
    assert rows == {"items": 3, "impressions": 6, "events": 2, "searches": 2}


def build(folder, ids, previous=None, media=False):
    items = {"id": ids, "title": [f"title of {x}" for x in ids]}
    log = {"user": ["u"], "item": ["logged"], "time": [1], "click": [0]}
    schema = shop.write(
        folder / "shop",
        {"items": items, "impressions": log},
        items={"files": "items.parquet", "id": "id", "title": "title"},
        **SMALL,
        **LOG,
    )
    index = folder / "index"
    previous = previous and str(previous)
    item_index.run(str(schema), str(index), previous)
    if media:
        item_media.run(str(schema), str(index), str(folder / "items"))
    return ItemIndex.open(index)


def test_rows_are_stable_when_a_tenth_of_the_items_changes(tmp_path):
    old_ids = [f"item{i}" for i in range(0, 200, 2)]
    new_ids = old_ids[10:] + [f"item{i}" for i in range(1, 21, 2)]
    old = build(tmp_path / "old", old_ids, media=True)
    new = build(tmp_path / "new", new_ids, tmp_path / "old" / "index")
    records = shop.records(tmp_path / "old" / "items")
    assert len(records) == 100
    for record in records:
        (row,), (item_id,) = record["row"], record["item_id"]
        assert old.id_of(row) == new.id_of(row) == item_id.decode()
    assert new.ids[:101] == old.ids and sorted(new.ids[101:]) == new.ids[101:]
    assert new.rows == old.rows + 10
    new.check(old.stamp(), "the old records")
    with pytest.raises(TfmmError, match="more items than the index"):
        old.check(new.stamp(), "the new records")
    fresh = build(tmp_path / "fresh", new_ids)
    with pytest.raises(TfmmError, match="another item index"):
        fresh.check(old.stamp(), "the old records")
    branch = build(tmp_path / "branch", ["other"], tmp_path / "old" / "index")
    with pytest.raises(TfmmError, match=r"more items|another branch"):
        branch.check(new.stamp(), "the new records")


def test_integers_stay_integers(tmp_path):
    schema = shop.write(
        tmp_path / "shop",
        {
            "impressions": {
                "user": [1, 1],
                "item": [10, 9],
                "time": [1, 1],
                "click": [0, 1],
            }
        },
        items=None,
        **SMALL,
        **LOG,
    )
    item_index.run(str(schema), str(tmp_path / "index"))
    index = ItemIndex.open(tmp_path / "index")
    assert index.ids == ["9", "10"] and index.id_type == "int64"


def test_texts_that_look_like_integers_are_texts(tmp_path):
    columns = shop.TABLES["impressions"] | {"item": ["007", "7", "8", "8", "7", "7"]}
    tables = {"impressions": columns}
    schema = shop.write(tmp_path / "shop", tables, items=None, **SMALL, **LOG)
    item_index.run(str(schema), str(tmp_path / "index"))
    index = ItemIndex.open(tmp_path / "index")
    assert index.ids == ["007", "7", "8"] and index.id_type == "string"


def test_empty_clicked_ids_are_no_items(tmp_path):
    clicked = pa.array(["a||x", "|"])
    schema = shop.write(tmp_path / "shop", shop.changed("searches", clicked=clicked))
    item_index.run(str(schema), str(tmp_path / "index"))
    assert ItemIndex.open(tmp_path / "index").ids == ["a", "b", "c", "d", "e", "x"]


def test_rows_without_a_readable_id_are_counted(tmp_path):
    items = ["a", None, "b", "line\nbreak", "d", ""]
    tables = shop.changed("impressions", item=items)
    schema = shop.write(tmp_path / "shop", tables)
    index = str(tmp_path / "index")
    manifest = item_index.run(str(schema), index, control=shop.ANY_BAD)
    assert manifest["impressions"] == {
        "read": 6,
        "written": 3,
        "dropped": {"no_item": 1, "not_id": 2},
    }
    assert manifest["counts"]["read"] == 5  # a, b, c, d, e
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["index", "shop"]


def test_no_readable_id_at_all(tmp_path):
    tables = {"impressions": shop.TABLES["impressions"] | {"item": [None] * 6}}
    schema = shop.write(tmp_path / "shop", tables, items=None, **SMALL, **LOG)
    with pytest.raises(TfmmError, match="No table has an item id"):
        item_index.run(str(schema), str(tmp_path / "index"), control=shop.ANY_BAD)
    assert not (tmp_path / "index").exists()


def test_other_jobs_refuse_vocabularies_of_another_index(hand_made, tmp_path):
    schema, out, _ = hand_made
    ItemIndex.create(["a", "b"]).save(tmp_path / "index")
    key = str(out.parent / "out.key")
    with pytest.raises(TfmmError, match="another item index"):
        behaviours.run(
            str(schema),
            str(tmp_path / "index"),
            str(out / "vocabularies"),
            str(tmp_path / "timelines"),
            key,
        )


def test_a_taught_error_in_a_worker_reaches_the_caller(tmp_path, capsys):
    tables = shop.changed("impressions", time=["soon"] * 6)
    schema = str(shop.write(tmp_path / "shop", tables))
    index = str(tmp_path / "index")
    item_index.run(schema, index)
    (tmp_path / "key").write_bytes(shop.KEY)
    with pytest.raises(TfmmError) as error:
        vocabularies.run(schema, index, str(tmp_path / "voc"), str(tmp_path / "key"))
    message = str(error.value)
    for words in ("impressions.parquet`", "`time`", "Expected", "'soon'"):
        assert words in message
    assert message.endswith("Correct the schema or the file.")
    assert not (tmp_path / "voc").exists()
    assert "Traceback" not in capsys.readouterr().err
