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
