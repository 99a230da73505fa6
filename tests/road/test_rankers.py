"""Which rankers the stage `rank` trains, and when: fakes, no training."""

import io
import json

import pytest
from rich.console import Console

from tfmm.records.manifest import write_manifest, writing
from tfmm.road.rankers import rank, ranker_stage
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.stages import STAGES
from tfmm.road.tickets import Tickets


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Runs the stage with settings of `ranking`; the variants trained, in order."""
    trained, killed = [], set()

    def train(road, variant, folder, checkpoints):
        if variant in killed:
            raise KeyboardInterrupt
        trained.append(variant)
        with writing(folder) as tmp:
            (tmp / "seen.json").write_text(json.dumps(len(trained)))
            write_manifest(tmp, kind="ranker", counts={})

    monkeypatch.setattr("tfmm.road.train.train_ranker", train)

    def run(kill=(), **ranking):
        killed.clear()
        killed.update(kill)
        before = len(trained)
        recipe = {"name": "fake", "input": {"marketplace": {}}, "out": str(tmp_path)}
        recipe |= {"pretrain": {"text": {}}, "ranking": ranking}
        road = Road(Recipe.model_validate(recipe), Console(file=io.StringIO()))
        rank(road)
        run.road = road
        return trained[before:]

    return run


TWO = {"variants": ["id_only", "simtier"], "published": "simtier"}


def test_only_a_new_or_changed_variant_is_trained(go):
    assert go(**TWO) == ["id_only", "simtier"]
    three = {**TWO, "variants": ["id_only", "vector", "simtier"]}
    assert go(**three) == ["vector"]
    assert go(**three, baseline="vector") == []
    assert go(**TWO) == []
    fewer = {"id_only": None, "simtier": ["din", {"simtier": {"tiers": 10}}]}
    assert go(**{**TWO, "variants": fewer}) == ["simtier"]
    assert go(**TWO, epochs=2) == ["id_only", "simtier"]


def test_an_interruption_keeps_what_was_trained(go):
    with pytest.raises(KeyboardInterrupt):
        go(kill=["simtier"], **TWO)
    assert go(**TWO) == ["simtier"]


def test_all_of_them_when_asked_again(go, monkeypatch):
    go(**TWO)
    monkeypatch.setattr(Tickets, "is_done", lambda tickets, stage: True)
    assert go(**TWO) == ["id_only", "simtier"]


def test_gain_takes_over_what_rank_has_trained(go):
    go(**TWO)
    stage = ranker_stage(go.road.recipe, "simtier", None)
    assert Tickets(go.road, {**STAGES, stage.name: stage}).stands(stage)
    assert stage.needs == ("behaviours", "embed-items")
    assert ranker_stage(go.road.recipe, "id_only", None).needs == ("behaviours",)
    assert ranker_stage(go.road.recipe, "make", None).needs[-1] == "make"
