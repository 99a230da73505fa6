"""Pairs of clicks and of items, further positives, and splits that are given."""

import numpy as np
import pyarrow as pa
import pytest
import shop
from sample_pictures import encoded, noise, plain

from beam_jobs import item_media, search_pairs
from beam_jobs.chunks import to_bytes
from beam_jobs.kernels import pairs as kernel
from beam_jobs.pair_shards import PAIRS, WriteShard
from beam_jobs.work import Work
from tfmm.errors import TfmmError
from tfmm.evaluation.report_stages import count_faults, stage_counts
from tfmm.records.index import ItemIndex
from tfmm.records.leak import check_pairs
from tfmm.records.manifest import write_manifest
from tfmm.records.sources import DIRECTIONS, QUERIES, SEARCH, describe

ONE, OTHER = encoded(noise((20, 20))), encoded(plain((20, 20)))
# Rows 2 to 5; a and b have one photo, so that they are one group; d has nothing.
ITEMS = {
    "id": ["a", "b", "c", "d"],
    "title": ["A", "B", "", ""],
    "image": pa.array([ONE, ONE, OTHER, None], pa.binary()),
}
SEARCHES = {
    "time": [120, 121, 310],
    "bought": ["a", "c", "b"],
    "text": ["red", "red", "hat"],
    "clicked": [["b", "c", "d", "a"], ["b", "c"], ["c"]],
    "search": ["secretsearch"] * 3,
}
ROLES = {
    "files": "searches.parquet",
    "time": "time",
    "bought": "bought",
    "query_text": "text",
    "clicked": "clicked",
    "search": "search",
}


def run(folder, searches=SEARCHES, items=ITEMS, roles=ROLES, media=True, **arguments):
    """The pairs' manifest; every table and output lies in the folder."""
    tables = {"items": items} | ({"searches": searches} if searches else {})
    of_items = {"files": "items.parquet", "id": "id", "title": "title"}
    schema = shop.write(
        folder / "shop",
        tables,
        items=of_items | {"image": "image"},
        searches=roles if searches else None,
    )
    index, written = str(folder / "index"), str(folder / "items")
    ItemIndex.create(items["id"]).save(index)
    if media:
        item_media.run(str(schema), index, written, shop.ANY_BAD)
    arguments["items"] = written if media else None
    arguments.setdefault("item_test_share", 0.0)
    pairs = str(folder / "pairs")
    return search_pairs.run(
        str(schema), index, pairs, control=shop.ANY_BAD, **arguments
    )


def pairs(folder, part):
    """(source, query item, item, negatives, further positives), sorted."""
    return sorted(
        (*r["source"], *r["query_item"], *r["item"], r["negatives"], r["positives"])
        for r in shop.records(folder / "pairs" / part)
    )


def test_all_sources_by_hand(tmp_path):
    manifest = run(tmp_path, sources=["item", "search", "clicked"])
    # In training, search q bought a = 2 and c = 4; the purchase of b = 3 is the test.
    assert pairs(tmp_path, "train") == [
        (0, 0, 2, [3, 5], [4]),
        (0, 0, 4, [3], [2]),
        (1, 3, 4, [], [2]),
        (1, 4, 2, [3, 5], []),
        (2, 2, 2, [], []),
        (2, 3, 3, [], []),
        (2, 4, 4, [], []),
    ]
    assert pairs(tmp_path, "test") == [(0, 0, 3, [4], []), (1, 4, 3, [], [])]
    sources = {
        name: list(found.values()) for name, found in manifest["sources"].items()
    }
    whats = ["pairs", *QUERIES, *DIRECTIONS]
    assert all(list(found) == whats for found in manifest["sources"].values())
    # Bought are a, c and b, of which c has no title; clicked are b, c and c.
    assert sources == {
        "search": [3, 0, 3, 0, 0, 3, 2],
        "clicked": [3, 3, 1, 3, 2, 1, 0],
        "item": [3, 3, 2, 3, 2, 2, 2],
    }
    assert describe(manifest["sources"]) == (
        "pairs: search 3 (text->image 3, text->text 2); "
        "clicked 3 (image->image 3, image->text 2, text->image 1); "
        "item 3 (image->image 3, image->text 2, text->image 2, text->text 2)"
    )
    assert manifest["parts"] == {"train": 2, "test": 1}
    assert manifest["pairs"] == {"train": 7, "test": 2}
    assert manifest["clicked"]["read"] == 7
    assert manifest["clicked"]["dropped"] == {"bought_item": 3, "no_media": 1}
    assert manifest["item_pairs"] == {
        "read": 4,
        "written": 3,
        "dropped": {"no_media": 1},
    }
    for path in (tmp_path / "pairs").rglob("*"):
        assert path.is_dir() or b"secretsearch" not in path.read_bytes()


@pytest.mark.parametrize(
    "sources", [["item"], ["clicked"], ["search", "clicked", "item"]]
)
def test_the_report_accounts_for_every_record(tmp_path, sources):
    run(tmp_path, sources=sources)
    given = {"items": 4, "searches": 3}
    (tmp_path / "input").mkdir()
    write_manifest(tmp_path / "input", kind="input", counts={"written": given})
    stages = stage_counts(tmp_path)
    assert count_faults(stages) == []
    divided = [
        stage.parts for stage in stages if stage.stage == "pairs" and stage.parts
    ]
    searches = {"train": 2, "test": 1}
    assert divided == ([] if sources == ["item"] else [searches])


def test_a_source_alone(tmp_path):
    manifest = run(tmp_path, sources=["clicked"])
    assert list(manifest["sources"]) == ["clicked"]
    assert manifest["sources"]["clicked"]["pairs"] == 3
    assert {pair[0] for pair in pairs(tmp_path, "train")} == {1}


def test_clicks_without_any_query(tmp_path):
    roles = {name: of for name, of in ROLES.items() if name != "query_text"}
    run(tmp_path, roles=roles, sources=["clicked"])
    assert len(pairs(tmp_path, "train")) == 2
    with pytest.raises(TfmmError, match="`search` need a query column"):
        run(tmp_path, roles=roles)


def test_items_alone_need_no_searches(tmp_path):
    count = 60
    items = {
        "id": [f"{i:02d}" for i in range(count)],
        "title": [f"Title {i}" for i in range(count)],
        "image": pa.array([ONE] * 10 + [None] * (count - 10), pa.binary()),
    }
    manifest = run(
        tmp_path, searches=None, items=items, sources=["item"], item_test_share=0.5
    )
    train, test = ({pair[2] for pair in pairs(tmp_path, x)} for x in ("train", "test"))
    assert train | test == set(range(2, count + 2)) and not train & test
    assert 15 < len(test) < 40
    # The ten items of one photo stay together.
    assert set(range(2, 12)) <= train or set(range(2, 12)) <= test
    numbers = list(manifest["sources"]["item"].values())
    assert numbers == [60, 10, 60, 10, 10, 10, 60]


def test_clicks_of_unknown_items_are_counted(tmp_path):
    clicks = {"clicked": [["zz", "b", "b", ""], ["a", "c", "zz", "yy"], []]}
    manifest = run(tmp_path, SEARCHES | clicks, sources=["search", "clicked"])
    dropped = {"bought_item": 2, "not_in_index": 3, "repeated": 1}
    assert manifest["clicked"] == {"read": 7, "written": 1, "dropped": dropped}
    assert [pair[:3] for pair in pairs(tmp_path, "train") if pair[0]] == [(1, 2, 4)]


PARTS = ["train", " Test", "Train", "later", None]


def supplied(times):
    return {
        "time": times,
        "bought": ["a"] * 5,
        "text": ["x"] * 5,
        "part": PARTS,
    }


SPLIT_ROLES = {
    "files": "searches.parquet",
    "time": "time",
    "bought": "bought",
    "query_text": "text",
    "part": "part",
}


def test_a_split_that_is_given(tmp_path):
    manifest = run(tmp_path, supplied([1, 2, 299, 4, 5]), roles=SPLIT_ROLES)
    assert manifest["pairs"] == {"train": 2, "test": 1}
    assert manifest["counts"]["dropped"] == {"no_part": 1, "not_part": 1}
    assert shop.letters(tmp_path / "pairs") == [
        ("searches.parquet", 3, "part", "not_part"),
        ("searches.parquet", 4, "part", "no_part"),
    ]
    assert check_pairs(tmp_path / "pairs/train", 300_000_000) == 2


def test_a_planted_leak_stops_the_run(tmp_path):
    with pytest.raises(TfmmError) as error:
        run(tmp_path, supplied([300, 900, 360, 4, 5]), roles=SPLIT_ROLES)
    for words in (
        "`train` that `part` supplies",
        "before 1970-01-01T00:05:00",
        "2 of 2",
        "from 1970-01-01T00:05:00 to 1970-01-01T00:06:00",
        "Move them to the test",
    ):
        assert words in str(error.value)
    assert not (tmp_path / "pairs").exists()


def test_no_training_pair_of_the_tests_time_is_written(tmp_path):
    columns = {"origin": [0, 1], "search": [0, 0], "time": [4, 9], "item": [2, 3]}
    made = kernel.pairs(pa.table(columns), np.arange(2), SEARCH)
    made = made.append_column("part", pa.repeat("train", 2))
    group = 0, [(PAIRS, to_bytes(made))]
    work = Work(str(tmp_path), shards=1)
    assert list(WriteShard(work, first_test=10).process(group)) == [None]
    with pytest.raises(TfmmError, match=r"A shard of `train`.*1 of 2"):
        list(WriteShard(work, first_test=9).process(group))


def test_a_leak_in_ready_made_pairs(tmp_path):
    run(tmp_path, sources=["search", "item"])
    assert check_pairs(tmp_path / "pairs/train", 121_000_001) == 2
    with pytest.raises(TfmmError, match=r"Received: 1 of 2 .* 1970-01-01T00:02:01"):
        check_pairs(tmp_path / "pairs/train", 121_000_000)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sources": ["search", "likes"]}, "some of search, clicked, item"),
        ({"sources": ["search", "search"]}, "each once"),
        ({"sources": []}, "at least one"),
        ({"sources": ["item"], "media": False}, "Pass the folder that `item_media`"),
    ],
)
def test_bad_arguments(tmp_path, arguments, words):
    with pytest.raises(TfmmError, match=words):
        run(tmp_path, **arguments)


def test_items_of_another_index(tmp_path):
    run(tmp_path, sources=["item"])
    ItemIndex.create(["x", "y"]).save(tmp_path / "foreign")
    schema = str(tmp_path / "shop/schema.yaml")
    with pytest.raises(TfmmError, match="another item index"):
        search_pairs.run(
            schema,
            str(tmp_path / "foreign"),
            str(tmp_path / "more"),
            items=str(tmp_path / "items"),
            sources=["item"],
        )
