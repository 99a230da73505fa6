import datetime

import pytest
import shop
import yaml

from tfmm.errors import TfmmError
from tfmm.schema import Schema, microseconds


def load(tmp_path, content):
    path = tmp_path / "schema.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return Schema.from_yaml(path)


def test_yaml_round_trip(tmp_path):
    schema = load(tmp_path, shop.SCHEMA)
    schema.to_yaml(tmp_path / "again.yaml")
    assert Schema.from_yaml(tmp_path / "again.yaml") == schema
    assert schema.folder == tmp_path


def test_round_trip_of_the_other_split(tmp_path):
    split = {"rule": "per_user_last_fraction", "test_fraction": 0.25}
    schema = load(tmp_path, shop.SCHEMA | {"split": split})
    schema.to_yaml(tmp_path / "again.yaml")
    assert Schema.from_yaml(tmp_path / "again.yaml") == schema


def test_roles_of_pair_training(tmp_path):
    items = shop.SCHEMA["items"] | {
        "more_images": ["front", "back"],
        "more_titles": "french",
        "equivalent": "style",
    }
    searches = {
        "files": "s.parquet",
        "time": "t",
        "bought": "b",
        "clicked": "c",
        "search": "s",
        "part": "p",
    }
    schema = load(tmp_path, shop.SCHEMA | {"items": items, "searches": searches})
    assert {
        role: (column, kind)
        for role, (column, kind, _) in schema.items.columns().items()
        if role.startswith(("more", "equivalent"))
    } == {
        "more_titles_0": ("french", "texts"),
        "more_images_0": ("front", "medias"),
        "more_images_1": ("back", "medias"),
        "equivalent": ("style", "text"),
    }
    assert schema.searches.columns()["part"] == ("p", "text", True)
    schema.to_yaml(tmp_path / "again.yaml")
    assert Schema.from_yaml(tmp_path / "again.yaml") == schema


JOINED = {
    "files": "s.parquet",
    "time": "t",
    "query_text": "q",
    "user": "u",
    "clicked": "c",
    "results": "r",
}
RULE = {"purchase_type": "buy", "window_seconds": 60, "max_per_query": 5}


def test_searches_to_join_with_purchases(tmp_path):
    schema = load(tmp_path, shop.SCHEMA | {"searches": JOINED, "pairs": RULE})
    assert schema.searches.columns() == {
        "time": ("t", "time", True),
        "query_text": ("q", "text", False),
        "clicked": ("c", "ids", False),
        "results": ("r", "ids", False),
        "user": ("u", "id", True),
    }
    schema.to_yaml(tmp_path / "again.yaml")
    assert Schema.from_yaml(tmp_path / "again.yaml") == schema


def test_rules_that_hold_with_a_bought_item_too(tmp_path):
    rule = {"max_per_query": 5, "drop_seen": True}
    assert load(tmp_path, shop.SCHEMA | {"pairs": rule}).pairs.drop_seen


def without(table, *roles):
    return {name: of for name, of in table.items() if name not in roles}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"searches": without(JOINED, "user")}, "searches: .*`bought`, or `user`"),
        ({"searches": JOINED | {"part": "p"}}, "`part` needs `bought`"),
        ({"searches": JOINED | {"bought": "b"}}, "`results` find purchases"),
        ({"events": None}, "`events` with a `type`, of which 'buy' is a purchase"),
        ({"events": without(shop.SCHEMA["events"], "type")}, "with a `type`"),
        ({"searches": shop.SCHEMA["searches"]}, r"pairs\.purchase_type joins"),
        (
            {
                "searches": without(JOINED, "clicked", "results"),
                "pairs": {"require_click": True},
            },
            "require_click needs",
        ),
        ({"pairs": {"window_seconds": 0}}, r"pairs\.window_seconds"),
        ({"pairs": {"max_per_search": 0}}, r"pairs\.max_per_search"),
        ({"pairs": {"max_per_query": 0}}, r"pairs\.max_per_query"),
        ({"pairs": {"purchase_type": ""}}, r"pairs\.purchase_type"),
    ],
)
def test_purchases_that_cannot_be_found(tmp_path, change, words):
    with pytest.raises(TfmmError, match=words):
        load(tmp_path, shop.SCHEMA | {"searches": JOINED, "pairs": RULE} | change)


def test_no_file(tmp_path):
    with pytest.raises(TfmmError, match="There is no file"):
        Schema.from_yaml(tmp_path / "absent.yaml")


@pytest.mark.parametrize("content", ["a: [", "\x00\x01"])
def test_no_yaml(tmp_path, content):
    with pytest.raises(TfmmError, match="not valid YAML"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"impressions": {"files": "x.parquet"}}, "impressions.user"),
        ({"histroy": {}}, "histroy"),
        ({"split": {"rule": "by_moon"}}, "split"),
        ({"history": {"label": "order"}}, "history.label is 'order'"),
        ({"history": {"max_length": 0}}, "history.max_length"),
        ({"impressions": shop.LOG | {"labels": []}}, "impressions.labels"),
        (
            {"searches": {"files": "s.csv", "time": "t", "bought": "b"}},
            "query_text.*query_image",
        ),
        (
            {
                "split": {
                    "rule": "global_time",
                    "validation_from": 9,
                    "test_from": 8,
                }
            },
            r"validation_from \(9\) must be earlier",
        ),
        (
            {
                "split": {
                    "rule": "per_user_last_fraction",
                    "test_fraction": 0.5,
                    "validation_fraction": 0.5,
                }
            },
            "below 1",
        ),
    ],
)
def test_wrong_keys_are_named(tmp_path, change, words):
    with pytest.raises(TfmmError, match=words) as error:
        load(tmp_path, shop.SCHEMA | change)
    assert "Received" in str(error.value)


def test_moments_in_microseconds():
    hour = datetime.timezone(datetime.timedelta(hours=1))
    assert microseconds(5) == 5_000_000
    assert microseconds(datetime.datetime(1970, 1, 1, 0, 0, 5)) == 5_000_000
    assert microseconds(datetime.datetime(1970, 1, 1, 1, 0, 5, tzinfo=hour)) == 5e6
