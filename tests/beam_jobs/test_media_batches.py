"""Batches, packs and restarts of the jobs that read pictures."""

import json

import pyarrow as pa
import pytest
import shop
from picture_server import picture_server
from sample_pictures import encoded, noise

from beam_jobs import files, item_media, media_rows, query_groups, search_pairs
from beam_jobs.job import Control
from beam_jobs.kernels.pictures import picture
from tfmm.records.index import ItemIndex

ITEMS = 23
PICTURES = [encoded(noise((8 + i, 12))) for i in range(ITEMS)]


@pytest.fixture
def by_path(tmp_path):
    """A schema of items whose pictures are files, two of them damaged or absent."""
    for number, data in enumerate(PICTURES):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    (tmp_path / "4.jpg").write_bytes(PICTURES[4][:-300])
    (tmp_path / "9.jpg").unlink()
    items = {
        "id": [f"i{number:02d}" for number in range(ITEMS)],
        "image": [f"{number}.jpg" for number in range(ITEMS)],
    }
    return with_index(tmp_path, items)


def with_index(folder, items, **changes):
    ItemIndex.create(sorted(items["id"])).save(folder / "index")
    columns = {"files": "items.parquet", "id": "id", "image": "image"}
    return shop.write(folder, {"items": items}, items=columns, **changes)


def run(schema, output="items", **control):
    folder = schema.parent
    return item_media.run(
        str(schema), str(folder / "index"), str(folder / output), Control(**control)
    )


def test_neither_batches_nor_the_columns_kind_change_a_byte(by_path, monkeypatch):
    folder = by_path.parent
    whole = run(by_path)
    monkeypatch.setattr(media_rows, "BATCH_ROWS", 3)
    assert run(by_path, "small")["files"] == whole["files"]
    data = [(folder / f"{n}.jpg").read_bytes() for n in range(ITEMS) if n != 9]
    data.insert(9, b"no picture")
    ids = [f"i{number:02d}" for number in range(ITEMS)]
    schema = with_index(folder, {"id": ids, "image": pa.array(data, pa.binary())})
    in_table = run(schema, "in_table")
    for name, made in whole["files"].items():
        if name.endswith(".tfrecord"):
            assert in_table["files"][name] == made
    assert whole["pictures"]["dropped"] == {"damaged": 1, "unreadable_path": 1}
    assert shop.letters(folder / "items") == [
        ("items.parquet", 4, "image", "damaged"),
        ("items.parquet", 9, "image", "unreadable_path"),
    ]


def test_what_a_killed_job_packed_is_not_made_again(by_path, monkeypatch):
    folder = by_path.parent
    expected = run(by_path)
    monkeypatch.setattr(media_rows, "BATCH_ROWS", 4)
    decode, decoded = media_rows.picture, []

    def dies(data, *rule):
        if data == PICTURES[17]:
            raise RuntimeError("killed")
        decoded.append(data)
        return decode(data, *rule)

    monkeypatch.setattr(media_rows, "picture", dies)
    with pytest.raises(RuntimeError, match="killed"):
        run(by_path, "again")
    assert not (folder / "again").exists()
    (work,) = folder.glob("again.work-*")
    first = len(files.names(str(work / "packs"), ".pack"))
    assert first == 4  # Of rows 0 to 15; 16 to 19 are the batch that died.
    decoded.clear()
    monkeypatch.setattr(
        media_rows, "picture", lambda *args: decoded.append(args) or decode(*args)
    )
    found = run(by_path, "again")
    assert len(decoded) == ITEMS - 16
    assert found == expected
    assert not work.exists()


def test_pictures_from_the_web(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with picture_server(tmp_path / "absent") as server:
        items = {
            "id": ["a", "b", "c", "d"],
            "image": [f"{server.url}/{x}" for x in ("flaky", "absent", "file", "good")],
        }
        schema = with_index(tmp_path, items)
        manifest = run(schema, max_bad_fraction=1.0)
        # The server's bytes are no pictures, but they were read.
        assert shop.letters(tmp_path / "items") == [
            ("items.parquet", 0, "image", "not_a_picture"),
            ("items.parquet", 1, "image", "http_404"),
            ("items.parquet", 2, "image", "redirect"),
            ("items.parquet", 3, "image", "not_a_picture"),
        ]
        assert server.asked["flaky"] == 3
        assert manifest["pictures"]["written"] == 0
        letters = (tmp_path / "items" / "dead_letters.jsonl").read_text()
        assert "http:" not in letters and str(server.server_port) not in letters


def test_query_pictures_travel_in_packs(by_path, monkeypatch):
    folder = by_path.parent
    searches = {
        "time": list(range(ITEMS)),
        "bought": [f"i{number:02d}" for number in range(ITEMS)],
        "picture": [f"{number}.jpg" for number in range(ITEMS)],
    }
    columns = {"files": "searches.parquet", "time": "time", "bought": "bought"}
    schema = shop.write(
        folder,
        {"searches": searches},
        items=None,
        searches=columns | {"query_image": "picture"},
    )
    place = str(schema), str(folder / "index")
    whole = search_pairs.run(*place, str(folder / "pairs"))
    monkeypatch.setattr(media_rows, "BATCH_ROWS", 5)
    small = search_pairs.run(*place, str(folder / "small"))
    assert small == whole and whole["pairs"] == {"train": ITEMS - 2, "test": 0}
    images = [r["query_image"][0] for r in shop.records(folder / "pairs/train")]
    assert len(set(images)) == ITEMS - 2 and all(x[:2] == b"\xff\xd8" for x in images)


@pytest.mark.parametrize("kind", ["bytes", "paths"])
def test_query_pictures_of_joined_searches(by_path, monkeypatch, kind):
    """Their packs outlive a killed run, though the next one hashes users anew."""
    folder = by_path.parent
    paths = [f"{number}.jpg" for number in range(ITEMS)]
    for path, data in zip(paths, PICTURES, strict=True):
        (folder / path).write_bytes(data)
    users, ids = [f"u{n}" for n in range(ITEMS)], [f"i{n:02d}" for n in range(ITEMS)]
    searches = {
        "user": users,
        "time": [10] * ITEMS,
        "picture": paths if kind == "paths" else pa.array(PICTURES, pa.binary()),
    }
    # Everybody orders two items after one search.
    events = {
        "user": users * 2,
        "time": [11] * ITEMS + [12] * ITEMS,
        "type": ["order"] * 2 * ITEMS,
        "item": ids + ids[1:] + ids[:1],
    }
    columns = {"files": "searches.parquet", "user": "user", "time": "time"}
    schema = shop.write(
        folder,
        {"searches": searches, "events": events},
        items=None,
        searches=columns | {"query_image": "picture"},
    )
    place = str(schema), str(folder / "index")
    control = Control(shards=2)
    expected = search_pairs.run(*place, str(folder / "pairs"), control=control)
    found = sorted(
        (record["query_image"][0], record["item"][0])
        for record in shop.records(folder / "pairs/train")
    )
    jpegs = [picture(data, size=16, max_pixels=1_000).jpeg for data in PICTURES]
    # Items have the rows from 2 on.
    rows = range(2, ITEMS + 2)
    assert found == sorted(zip(jpegs * 2, [*rows, *rows[1:], 2], strict=True))

    for module in (media_rows, query_groups):
        monkeypatch.setattr(module, "BATCH_ROWS", 4)
    decode, decoded = media_rows.picture, []

    def dies(data, *rule):
        if data == PICTURES[17]:
            raise RuntimeError("killed")
        return decode(data, *rule)

    monkeypatch.setattr(media_rows, "picture", dies)
    with pytest.raises(RuntimeError, match="killed"):
        search_pairs.run(*place, str(folder / "again"), control=control)
    (work,) = folder.glob("again.work-*")
    units = map(json.loads, (x.read_bytes() for x in work.glob("units/searches-*")))
    kept = [unit["counts"]["pictures:read"] for unit in units]
    # A batch of four pairs is of two searches; rows 1 to 15 come before row 17.
    assert len(kept) >= 4 and set(kept) == {2}
    monkeypatch.setattr(
        media_rows, "picture", lambda *args: decoded.append(args) or decode(*args)
    )
    again = search_pairs.run(*place, str(folder / "again"), control=control)
    assert len(decoded) == ITEMS - sum(kept)
    assert again == expected and not work.exists()


def test_the_rule_of_near_duplicates_is_in_the_manifest(tmp_path):
    items = {"id": ["a"], "image": pa.array([PICTURES[0]], pa.binary())}
    schema = with_index(tmp_path, items, media={"near_duplicates": 8})
    assert run(schema)["near_duplicates"] == 8
