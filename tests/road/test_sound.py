"""Rankers that ask for columns that the log does not have."""

import pytest
import yaml

from tfmm.errors import TfmmError
from tfmm.road.gain import gain
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.sound import check_columns

LOG = {"files": "log.parquet", "user": "u", "item": "i", "time": "t", "labels": ["c"]}


@pytest.fixture
def road(tmp_path):
    """Makes runs with columns of the log and settings of `ranking`."""

    def make(columns=None, **ranking):
        schema, recipe = tmp_path / "shop.yaml", tmp_path / "recipe.yaml"
        log = {**LOG, **(columns or {})}
        split = {"rule": "global_time", "test_from": 1700000000}
        tables = {"name": "shop", "impressions": log, "split": split}
        schema.write_text(yaml.safe_dump(tables))
        content = {"name": "r", "input": {"schema": "shop.yaml"}, "ranking": ranking}
        content |= {"out": str(tmp_path / "out")}
        content |= {"vectors": {"file": "v.parquet", "name": "v", "version": "1"}}
        recipe.write_text(yaml.safe_dump(content))
        return Road(Recipe.from_yaml(recipe))

    return make


def test_what_the_log_has_is_fine(road):
    columns = {"position": "p", "base_score": "b", "labels": ["c", "d"]}
    check_columns(road(columns, position=True, labels=["d"]), "base_score")
    check_columns(road(), None)


def test_what_it_lacks_is_said_before_any_work(road):
    with pytest.raises(TfmmError, match=r"names buy, and .* are c\. Correct"):
        check_columns(road(labels=["c", "buy"]), None)
    with pytest.raises(TfmmError, match="Add `position: COLUMN`"):
        check_columns(road(position=True), None)
    with pytest.raises(TfmmError, match="Add `base_score: COLUMN`"):
        gain(road(), offset="base_score")
