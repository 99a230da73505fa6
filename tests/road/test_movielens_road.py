"""The MovieLens recipe at reduced size, where its data are."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from tfmm.evaluation import GainTable
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.stages import STAGES
from tfmm.road.walk import walk

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TFMM_DATA", ROOT.parent / "shared" / "data")).absolute()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "movielens_posters").is_dir(),
        reason=f"needs the folder {DATA.name}/movielens_posters; set TFMM_DATA",
    ),
]


def reduced(recipe, folder):
    """The shipped recipe with fewer users, one modality and shorter training."""
    pretrain = recipe.pretrain.model_copy(
        update={"image": None, "tasks": ["text->text"], "epochs": 1}
    )
    movielens = recipe.input.movielens.model_copy(update={"users": 100})
    small = recipe.model_copy(
        update={
            "out": str(folder / "out"),
            "saved_models": str(folder / "saved_models"),
            "input": recipe.input.model_copy(update={"movielens": movielens}),
            "pretrain": pretrain,
            "make": recipe.make.model_copy(update={"epochs": 1}),
        }
    )
    small._folder = recipe.folder
    return small


def test_the_road_on_a_hundred_users(tmp_path, monkeypatch):
    monkeypatch.setenv("TFMM_DATA", str(DATA))
    recipe = reduced(Recipe.from_yaml("movielens.yaml"), tmp_path)
    console = Console(file=io.StringIO(), width=120)
    walk(Road(recipe, console), STAGES)
    assert "item mean + user mean" in console.file.getvalue()
    table = GainTable.open(tmp_path / "out" / "evaluation" / "gain.json")
    assert table["simtier_make"].all.auc > 0.65
    assert (tmp_path / "out" / "report.html").is_file()
