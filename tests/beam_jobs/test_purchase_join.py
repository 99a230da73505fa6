"""From searches and orders to pairs, by the whole job."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shop
from sample_pictures import encoded, noise
from shop import PLANTED_QUERY, PLANTED_USER

from beam_jobs import item_index, item_media, search_pairs
from tfmm.errors import TfmmError
from tfmm.evaluation.report_stages import count_faults, stage_counts
from tfmm.records.index import ItemIndex
from tfmm.records.leak import check_pairs
from tfmm.records.manifest import write_manifest

PICTURE = encoded(noise((20, 20)))
# Rows 2 to 5; c and d are of one style, so that they are one group.
ITEMS = {
    "id": ["a", "b", "c", "d"],
    "title": ["A", "B", "C", "D"],
    "style": ["1", "2", "s", "s"],
}
ANNA, BEN, CARL = PLANTED_USER, "ben", "carl"
RED = f"Red {PLANTED_QUERY}"
# By user, and by what each row is there for.
SEARCHES = {
    "user": [ANNA, ANNA, ANNA, BEN, BEN, CARL, CARL, CARL],
    "time": [100, 110, 120, 100, 290, 400, 410, 420],
    "words": [RED, "hat", " ", RED.lower(), "hat", "hat", RED, None],
    "clicked": [["a", "b", "c"], ["b"], ["a"], ["a"], ["b", "c"], ["b"], ["b"], []],
    "number": ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"],
    "picture": pa.array([None] * 7 + [PICTURE], pa.binary()),
}
ORDERS = [
    # Anna buys a and, of the group of c, d in the search of 100.
    (ANNA, 130, "order", "a"),
    (ANNA, 140, "order", "d"),
    # Again in the window, by the same query.
    (ANNA, 150, "order", "a"),
    # Views are no purchases; Ben's order comes before any search of his.
    (ANNA, 131, "view", "b"),
    (BEN, 90, "order", "a"),
    (BEN, 101, "order", "b"),
    (BEN, 105, "order", "a"),
    # The search is in training, the purchase in the test.
    (BEN, 310, "order", "b"),
    # By words that training has for the same item, and by a picture that clicked none.
    (CARL, 415, "order", "b"),
    (CARL, 430, "order", "c"),
    (None, 430, "order", "c"),
]
ROLES = {
    "files": "searches.parquet",
    "user": "user",
    "time": "time",
    "query_text": "words",
    "clicked": "clicked",
    "search": "number",
}
OF_ITEMS = {
    "files": "items.parquet",
    "id": "id",
    "title": "title",
    "equivalent": "style",
}


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Item records, which tell that c and d are one group."""
    folder = tmp_path_factory.mktemp("media")
    schema, index = write(folder)
    item_media.run(schema, index, str(folder / "items"))
    return str(folder / "items")


def write(folder, roles=ROLES, orders=ORDERS, searches=SEARCHES, **changes):
    """Paths of the schema and the index."""
    names = ("user", "time", "type", "item")
    events = dict(zip(names, map(list, zip(*orders, strict=True)), strict=True))
    tables = {"items": ITEMS, "events": events, "searches": searches}
    schema = shop.write(
        folder / "shop", tables, items=OF_ITEMS, searches=roles, **changes
    )
    ItemIndex.create(ITEMS["id"]).save(folder / "index")
    return str(schema), str(folder / "index")


def run(folder, items=None, sources=("search",), flags=(), **shop_arguments):
    schema, index = write(folder, **shop_arguments)
    return search_pairs.run(
        schema,
        index,
        str(folder / "pairs"),
        items=items,
        sources=sources,
        control=shop.ANY_BAD,
        pipeline_args=flags,
    )


def pairs(folder, part):
    """(time, query text, item, negatives, further positives), sorted."""
    return sorted(
        (
            r["time"][0] // 1_000_000,
            r["query_text"][0].decode(),
            *r["item"],
            r["negatives"],
            r["positives"],
        )
        for r in shop.records(folder / part)
    )


def test_by_hand(tmp_path, media):
    manifest = run(tmp_path, media)
    out = tmp_path / "pairs"
    # Anna clicked a, b and c and bought a and d, of the group of c.
    assert pairs(out, "train") == [
        (105, RED.lower(), 2, [], []),
        (130, RED, 2, [3], [5]),
        (140, RED, 5, [3], [2]),
    ]
    assert pairs(out, "test") == [
        (310, "hat", 3, [4], []),
        (415, RED, 3, [], []),
    ]
    assert manifest["events"] == {
        "read": 11,
        "written": 9,
        "dropped": {"no_user": 1, "other_type": 1},
    }
    assert manifest["purchases"] == {
        "read": 9,
        "written": 5,
        "dropped": {"no_search": 1, "not_clicked": 2, "repeated": 1},
    }
    # Of eight searches two have no words; Anna's of 110 and Carl's of 400 no order.
    assert manifest["counts"] == {
        "read": 8,
        "written": 4,
        "dropped": {"no_purchase": 2, "no_query": 2},
    }
    assert manifest["parts"] == {"train": 2, "test": 2}
    # Clicked were a b c, b, a, b c, b, b; bought were a, c (as d), a, b, b.
    assert manifest["clicked"] == {
        "read": 9,
        "written": 2,
        "dropped": {"bought_item": 5, "no_purchase": 2},
    }
    assert manifest["pairs"] == {"train": 3, "test": 2}
    assert manifest["seen_in_train"] == 0
    assert manifest["first_test"] == 300_000_000
    assert check_pairs(out / "train", 300_000_000) == 3


def test_what_is_written_tells_nobody_apart(tmp_path, media):
    run(tmp_path, media)
    (tmp_path / "input").mkdir()
    given = {"searches": 8, "events": 11}
    write_manifest(tmp_path / "input", kind="input", counts={"written": given})
    stages = [s for s in stage_counts(tmp_path) if s.stage in ("input", "pairs")]
    assert len(stages) == 7 and count_faults(stages) == []
    for path in (tmp_path / "pairs").rglob("*"):
        content = path.read_bytes().lower() if path.is_file() else b""
        assert ANNA.encode() not in content
        assert path.suffix == ".tfrecord" or PLANTED_QUERY.encode() not in content
    # Another key of the users and another worker write the same bytes.
    before = shop.content(tmp_path / "pairs")
    flags = ["--direct_running_mode=multi_threading", "--direct_num_workers=2"]
    run(tmp_path, media, flags=flags)
    assert shop.content(tmp_path / "pairs") == before


def test_clicks_are_no_condition_where_the_rule_says_so(tmp_path):
    rule = {"require_click": False, "window_seconds": 29, "max_per_search": 1}
    roles = ROLES | {"query_image": "picture"}
    manifest = run(tmp_path, roles=roles, pairs=rule)
    # Anna's orders of 140 and 150 are out of the window of the search of 120, without
    # words; of 110 by 30 seconds. Her order of 130 is of the click 30 seconds before,
    # and so of the last search.
    assert pairs(tmp_path / "pairs", "train") == [
        (101, RED.lower(), 3, [], []),
        (130, "hat", 2, [3], []),
    ]
    assert pairs(tmp_path / "pairs", "test") == [
        (310, "hat", 3, [4], []),
        (415, RED, 3, [], []),
        (430, "", 4, [], []),
    ]
    assert manifest["purchases"]["dropped"] == {"no_search": 3, "over_per_search": 1}
    assert manifest["pictures"] == {"read": 1, "written": 1, "dropped": {}}
    assert manifest["sources"]["search"] == {"pairs": 5, "image": 1, "text": 4}


def test_limits_by_query(tmp_path):
    orders = [
        (ANNA, 130, "order", "a"),
        (ANNA, 131, "order", "b"),
        (BEN, 105, "order", "a"),
        (CARL, 405, "order", "b"),
    ]
    # Both red queries led to a, and the hat to b in training and the test.
    seen = run(tmp_path / "seen", orders=orders)
    assert (seen["pairs"], seen["seen_in_train"]) == ({"train": 3, "test": 1}, 1)
    dropped = run(tmp_path / "dropped", orders=orders, pairs={"drop_seen": True})
    assert dropped["pairs"] == {"train": 3, "test": 0}
    assert dropped["purchases"]["dropped"] == {"seen_in_train": 1}
    assert dropped["counts"]["dropped"]["seen_in_train"] == 1
    # Capital letters make no other query.
    capped = run(tmp_path / "capped", orders=orders, pairs={"max_per_query": 1})
    assert capped["pairs"] == {"train": 2, "test": 1}
    assert capped["purchases"] == {
        "read": 4,
        "written": 3,
        "dropped": {"over_per_query": 1},
    }
    for manifest in (seen, dropped, capped):
        for name in ("counts", "clicked", "events", "purchases"):
            assert shop.adds_up(manifest[name])
        assert sum(manifest["parts"].values()) == manifest["counts"]["written"]


def test_each_users_last_moments_are_the_test(tmp_path):
    split = {"rule": "per_user_last_fraction", "test_fraction": 0.3}
    manifest = run(tmp_path, split=split)
    # With words, Anna searched at 100 and 110, Ben at 100 and 290, Carl at 400 and 410:
    # of two moments the last is no training any more.
    assert pairs(tmp_path / "pairs", "train") == [(105, RED.lower(), 2, [], [])]
    assert [pair[0] for pair in pairs(tmp_path / "pairs", "test")] == [130, 310, 415]
    assert manifest["first_test"] == 110_000_000


def test_clicks_become_queries_without_any_words(tmp_path, media):
    roles = {name: of for name, of in ROLES.items() if name != "query_text"}
    manifest = run(tmp_path, media, ["clicked"], roles=roles)
    # Anna, Ben and Carl clicked nothing but what they bought in those of 120, 100, 410.
    assert manifest["counts"]["dropped"] == {"no_click": 3, "no_purchase": 3}
    assert manifest["purchases"]["dropped"]["no_click"] == 3
    # a and b led Anna to d, in the search where she clicked c; c led Ben to b.
    found = [
        (*r["query_item"], *r["item"]) for r in shop.records(tmp_path / "pairs/train")
    ]
    assert sorted(found) == [(2, 5), (3, 5)]
    found = [
        (*r["query_item"], *r["item"]) for r in shop.records(tmp_path / "pairs/test")
    ]
    assert found == [(4, 3)]
    for name in ("counts", "clicked", "events", "purchases"):
        assert shop.adds_up(manifest[name])


def test_limits_by_query_where_searches_name_what_was_bought(tmp_path):
    searches = {
        "time": [1, 2, 3, 400],
        "bought": ["a", "b", "a", "a"],
        "words": [RED, RED, "hat", "HAT"],
        "clicked": [["b"], ["b", "c"], [], []],
    }
    roles = {"files": "searches.parquet", "time": "time", "bought": "bought"}
    roles |= {"query_text": "words", "clicked": "clicked"}
    rule = {"max_per_query": 1, "drop_seen": True}
    manifest = run(tmp_path, roles=roles, searches=searches, pairs=rule)
    assert manifest["counts"] == {
        "read": 4,
        "written": 2,
        "dropped": {"over_per_query": 1, "seen_in_train": 1},
    }
    assert manifest["seen_in_train"] == 1
    assert "purchases" not in manifest and shop.adds_up(manifest["clicked"])


def test_events_without_purchases(tmp_path):
    with pytest.raises(TfmmError, match=r"'buy'.*'order', 'view'.*purchase_type"):
        run(tmp_path, pairs={"purchase_type": "buy"})
    assert not (tmp_path / "pairs").exists()


def test_a_purchase_of_an_unknown_item_is_a_dead_letter(tmp_path):
    manifest = run(tmp_path, orders=[*ORDERS, (ANNA, 160, "order", "newer")])
    assert manifest["purchases"]["dropped"]["not_in_index"] == 1
    assert shop.letters(tmp_path / "pairs") == [
        ("events.parquet", 10, "user", "no_user"),
        ("events.parquet", 11, "item", "not_in_index"),
    ]


def test_the_index_of_a_shop_whose_searches_name_no_item(tmp_path):
    roles = {name: of for name, of in ROLES.items() if name != "clicked"}
    schema, _ = write(tmp_path, roles=roles)
    impressions = pa.table(shop.TABLES["impressions"])
    pq.write_table(impressions, tmp_path / "shop/impressions.parquet")
    manifest = item_index.run(schema, str(tmp_path / "built"))
    assert "searches" not in manifest and manifest["counts"]["written"] == 4
