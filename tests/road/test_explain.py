"""The explanation of an example request, from what the evaluation kept."""

import io
import json

import numpy as np
import pytest
import yaml
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.ranking import Matches
from tfmm.records.index import ItemIndex
from tfmm.road.examples import _matches
from tfmm.road.explain import explain_example
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road


def item(row, score, part, matches):
    names = ("row", "times", "cosine", "tier")
    found = [dict(zip(names, match, strict=True)) for match in matches]
    return {
        "row": row,
        "label": float(row == 3),
        "score": score,
        "known": True,
        "parts": {"simtier": part},
        "matches": {"image": found},
    }


@pytest.fixture
def road(tmp_path):
    index = ItemIndex.create(["shoe", "[bold]", "sock"])
    index.save(tmp_path / "out" / "index")
    items = [item(2, 0.25, -0.5, []), item(3, 0.75, 1.25, [(4, 3, 0.912, 19)])]
    request = {"user": "00ff", "label": "click", "history": [2, 4], "items": items}
    folder = tmp_path / "out" / "evaluation"
    folder.mkdir()
    (folder / "example_requests.json").write_text(json.dumps([request]))
    recipe = tmp_path / "recipe.yaml"
    content = {
        "name": "r",
        "input": {"schema": "s.yaml"},
        "out": str(tmp_path / "out"),
        "vectors": {"file": "v.parquet", "name": "v", "version": "1"},
    }
    recipe.write_text(yaml.safe_dump(content))
    return Road(Recipe.from_yaml(recipe))


def test_best_first_by_raw_id(road):
    ids = ItemIndex.open(road.path("index"))
    console = Console(file=io.StringIO(), width=100)
    console.print(explain_example(road))
    text = console.file.getvalue()
    lines = text.splitlines()
    best = next(place for place, line in enumerate(lines) if ids.id_of(3) in line)
    assert f"{ids.id_of(4)} ×3 (0.91, 19)" in lines[best]
    assert "+1.250" in lines[best] and "yes" in lines[best]
    assert any("-0.500" in line for line in lines[best + 1 :])
    assert "user 00ff, 2 events before" in text


def test_every_item_matched_is_kept_once():
    match = Matches(
        positions=np.array([[[4, 3, 1, 0, -1]]]),
        rows=np.array([[[7, 7, 9, 7, 0]]]),
        cosines=np.array([[[0.5, 0.5, 0.25, 0.5, np.nan]]]),
        tiers=np.array([[[14, 14, 12, 14, -1]]]),
        histogram=np.zeros((1, 1, 20)),
    )
    assert _matches(match, 0, 0) == [
        {"row": 7, "times": 3, "cosine": 0.5, "tier": 14},
        {"row": 9, "times": 1, "cosine": 0.25, "tier": 12},
    ]


def test_a_number_out_of_range(road):
    with pytest.raises(TfmmError, match="number 2 of 1"):
        explain_example(road, 2)
    road.path("evaluation", "example_requests.json").unlink()
    with pytest.raises(TfmmError, match="number 1 of 0"):
        explain_example(road)
