import io

import pyarrow as pa
import pytest
import shop
from PIL import Image
from sample_pictures import animation, encoded, huge_png, noise

from beam_jobs import item_media
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex

GOOD = encoded(noise((40, 20)))
CASES = [
    ("absent", None, None),
    ("animated", animation(), None),
    ("corrupt", b"\xff\xd8\xff" + b"corrupt" * 20, "not_a_picture"),
    ("good", GOOD, None),
    ("huge", huge_png(), "too_many_pixels"),
    ("large", GOOD + bytes(60_000), "too_many_bytes"),
    ("truncated", GOOD[:-1000], "damaged"),
]


def build(folder, items, index_ids=None, **changes):
    schema = shop.write(
        folder,
        {"items": items},
        items={"files": "items.parquet", "id": "id"} | changes,
        media={"image_size": 16, "max_bytes": 50_000},
    )
    ids = index_ids or [x for x in pa.table(items)["id"].to_pylist() if x]
    ItemIndex.create(dict.fromkeys(ids)).save(folder / "index")
    output = folder / "items"
    manifest = item_media.run(
        str(schema), str(folder / "index"), str(output), shop.ANY_BAD
    )
    return manifest, shop.records(output), shop.letters(output)


def test_an_item_with_a_bad_picture_keeps_its_title(tmp_path):
    items = {
        "id": [name for name, _, _ in CASES],
        "title": [f"Title of {name}" for name, _, _ in CASES],
        "image": pa.array([data for _, data, _ in CASES], pa.binary()),
    }
    manifest, records, letters = build(tmp_path, items, title="title", image="image")
    titles = {r["item_id"][0].decode(): r["title"][0].decode() for r in records}
    assert titles == {name: f"Title of {name}" for name, _, _ in CASES}
    pictures = {r["item_id"][0].decode(): r["image"][0] for r in records}
    assert {name for name, jpeg in pictures.items() if jpeg} == {"animated", "good"}
    image = Image.open(io.BytesIO(pictures["good"]))
    assert image.size == (8, 16) and image.mode == "RGB"
    assert letters == [
        ("items.parquet", row, "image", reason)
        for row, (_, _, reason) in enumerate(CASES)
        if reason
    ]
    assert manifest["counts"] == {"read": 7, "written": 7, "dropped": {}}
    dropped = {reason: 1 for _, _, reason in CASES if reason} | {"absent": 1}
    expected = {"read": 7, "written": 2, "dropped": dict(sorted(dropped.items()))}
    assert manifest["pictures"] == expected | {"from_further": 0, "first_frame": 1}
    sizes = {r["item_id"][0]: r["image_width"] + r["image_height"] for r in records}
    assert sizes[b"good"] == [20, 40] and sizes[b"animated"] == [8, 8]
    assert sizes[b"absent"] == sizes[b"huge"] == [0, 0]
    assert len(manifest["files"]) == 9  # 8 shards and the dead letters


def test_rows_that_are_left_out_are_counted(tmp_path):
    items = {
        "id": ["b", None, "a", "b", "newer"],
        "title": ["first", "nobody's", "", "second", "newer than the index"],
    }
    manifest, records, letters = build(tmp_path, items, ["a", "b"], title="title")
    found = {(r["row"][0], r["item_id"][0], r["title"][0]) for r in records}
    assert found == {(2, b"a", b""), (3, b"b", b"first")}
    assert letters == [
        ("items.parquet", 1, "id", "no_id"),
        ("items.parquet", 3, "id", "repeated_id"),
        ("items.parquet", 4, "id", "not_in_index"),
    ]
    assert manifest["counts"]["read"] == 5 and shop.adds_up(manifest["counts"])
    assert manifest["titles"]["dropped"] == {"empty": 1}
    assert all(r["image"] == [b""] and r["image_hash"] == [b""] for r in records)


def test_pictures_by_path(tmp_path):
    (tmp_path / "media" / "sub").mkdir(parents=True)
    (tmp_path / "media" / "sub" / "a.jpg").write_bytes(GOOD)
    items = {
        "id": ["a", "b", "c", "d"],
        "path": ["sub/a.jpg", "absent.jpg", str(tmp_path / "media/sub/a.jpg"), ""],
    }
    manifest, records, letters = build(
        tmp_path, items, image="path", image_root="media"
    )
    jpegs = {r["item_id"][0]: r["image"][0] for r in records}
    assert jpegs[b"a"] == jpegs[b"c"] != b"" and jpegs[b"b"] == jpegs[b"d"] == b""
    assert letters == [("items.parquet", 1, "path", "unreadable_path")]
    assert manifest["pictures"]["dropped"] == {"absent": 1, "unreadable_path": 1}
    hashes = {r["item_id"][0]: r["image_hash"][0] for r in records}
    assert hashes[b"a"] == hashes[b"c"] and len(hashes[b"a"]) == 16


def test_further_pictures_and_titles(tmp_path):
    other = encoded(noise((24, 20)))
    items = {
        "id": ["a", "b", "c"],
        "title": ["Red shoe", "", "Hat"],
        "image": pa.array([GOOD, b"broken", None], pa.binary()),
        "views": pa.array(
            [[other, b"broken", GOOD, other], [other], None], pa.list_(pa.binary())
        ),
        "back": pa.array([None, GOOD, None], pa.binary()),
        "titles": [["Roter Schuh", " red shoe", "Roter  Schuh"], None, ["", None]],
        "french": ["Chaussure | rouge", "Chapeau", None],
        "style": ["s1", "s1", None],
    }
    manifest, records, letters = build(
        tmp_path,
        items,
        title="title",
        image="image",
        more_images=["views", "back"],
        more_titles=["titles", "french"],
        equivalent="style",
    )
    found = {record["item_id"][0]: record for record in records}
    a, b, c = (found[name] for name in (b"a", b"b", b"c"))
    titles = [b"Roter Schuh", b"red shoe", b"Chaussure | rouge"]
    assert a["more_titles"] == titles
    assert c["more_titles"] == [] and c["more_images"] == []
    # The item's own picture and one that repeats are left out; a bad one loses nothing.
    assert len(a["more_images"]) == 1
    # Without a title or a usable picture of its own, b has the first further ones.
    assert b["title"] == [b"Chapeau"] and b["more_titles"] == []
    assert b["image"] == a["more_images"] and b["more_images"] == a["image"]
    assert b["image_hash"] not in ([b""], a["image_hash"])
    for name in ("titles", "pictures"):
        assert manifest[name]["from_further"] == 1 and shop.adds_up(manifest[name])
    assert [x["equivalent"] for x in (a, b, c)] == [[b"s1"], [b"s1"], [b""]]
    assert letters == [
        ("items.parquet", 0, "views", "not_a_picture"),
        ("items.parquet", 1, "image", "not_a_picture"),
    ]
    assert manifest["counts"] == {"read": 3, "written": 3, "dropped": {}}
    dropped = {"not_a_picture": 1, "repeated": 2}
    expected = {"read": 6, "written": 3, "dropped": dropped}
    assert manifest["more_pictures"] == expected
    dropped = {"empty": 2, "repeated": 1}
    assert manifest["more_titles"] == {"read": 7, "written": 4, "dropped": dropped}


def test_further_pictures_by_paths_in_one_text(tmp_path):
    (tmp_path / "a.jpg").write_bytes(GOOD)
    (tmp_path / "b.jpg").write_bytes(encoded(noise((24, 20))))
    items = {"id": ["a"], "paths": ["a.jpg|b.jpg|absent.jpg"]}
    _, records, letters = build(tmp_path, items, more_images="paths")
    assert len(records[0]["more_images"]) == 1 and records[0]["image"] != [b""]
    assert letters == [("items.parquet", 0, "paths", "unreadable_path")]


def test_a_schema_without_items(tmp_path):
    schema = shop.write(tmp_path, {}, items=None)
    with pytest.raises(TfmmError, match=r"no `items`.*from_vectors"):
        item_media.run(str(schema), "index", "items")
