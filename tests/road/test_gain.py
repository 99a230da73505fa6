"""Which rankers `tfmm gain` trains, and when: fakes, no training."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.evaluation import Columns, gain_table
from tfmm.records.manifest import write_manifest, writing
from tfmm.road import gain as module
from tfmm.road.gain import gain, gain_stages
from tfmm.road.ranking_recipe import USUAL, VARIANTS
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.stage import Stage


@pytest.fixture
def world(tmp_path, monkeypatch):
    """(go, what was trained) over a road of two fake stages."""
    trained = []

    def write(folder, kind):
        with writing(folder) as tmp:
            (tmp / "seen.json").write_text(json.dumps(len(trained)))
            write_manifest(tmp, kind=kind, counts={})

    def train(road, variant, folder, checkpoints):
        ranking = road.recipe.ranking
        trained.append((variant, ranking.variants[variant], ranking.offset))
        write(folder, "ranker")

    def stage(name, *outputs, needs=()):
        def run(road):
            for output in outputs:
                write(road.path(output), name)

        return Stage(name, f"makes {name}", run, outputs, needs=needs)

    def compared(road, folders, baseline):
        column = np.array([0, 0, 1, 1])
        base = Columns(column, column, column, [0, 1, 0, 1], [0.5] * 4, column)
        names = [*folders, *(["production"] if baseline == "production" else [])]
        return gain_table(dict.fromkeys(names, base), baseline=baseline)

    rankers = [f"rankers/{name}" for name in USUAL]
    stages = {name: stage(name, name) for name in ("behaviours", "embed-items", "make")}
    stages["rank"] = stage("rank", *rankers, needs=tuple(stages))
    monkeypatch.setattr(module, "STAGES", stages)
    monkeypatch.setattr("tfmm.road.train.train_ranker", train)
    monkeypatch.setattr("tfmm.road.judge.gain_of", compared)
    recipe = {"name": "fake", "input": {"marketplace": {}}, "out": str(tmp_path)}
    recipe = Recipe.model_validate(recipe | {"pretrain": {"text": {}}})

    def go(variants=None, offset=None, recipe=recipe):
        trained.clear()
        console = Console(file=io.StringIO(), width=120)
        table = gain(Road(recipe, console), variants, offset)
        return table, [name for name, *_ in trained], console.file.getvalue()

    return go, trained, recipe, tmp_path


def test_the_roads_own_rankers_are_not_trained_again(world):
    go, trained, _, out = world
    table, names, shown = go()
    assert names == ["vector", "simscore", "muse"]
    assert [row.name for row in table.rows] == list(VARIANTS)
    assert {name: interests for name, interests, _ in trained} == {
        "vector": ["vector"],
        "simscore": ["simscore"],
        "muse": ["din", "simtier", {"history_search": None}],
    }
    assert "Gain over ID-only" in shown and "gain.html" in shown
    assert (out / "gain" / "id_only" / "gain.html").is_file()


def test_nothing_is_trained_twice(world):
    go, _, recipe, _ = world
    go(["vector"])
    assert go(["vector", "simscore"])[1] == ["simscore"]
    assert go()[1] == ["muse"]
    table, names, shown = go()
    assert names == [] and len(table.rows) == 7 and "Gain over" in shown
    changed = recipe.model_copy(
        update={"ranking": recipe.ranking.model_copy(update={"epochs": 2})}
    )
    assert go(["vector"], recipe=changed)[1] == ["vector"]


def test_on_top_of_the_logged_score(world):
    go, trained, _, out = world
    table, names, _ = go(["simtier"], "base_score")
    assert names == ["id_only", "simtier"]
    assert all(offset == "base_score" for *_, offset in trained)
    assert table.baseline == "production"
    assert [row.name for row in table.rows] == ["production", "id_only", "simtier"]
    assert (out / "rankers_on_base_score" / "simtier" / "seen.json").is_file()
    assert go()[1] == ["vector", "simscore", "muse"]


def test_the_card_needs_all_rankers_and_make_only_who_reads_it(world):
    _, _, recipe, _ = world
    stages = gain_stages(recipe, tuple(VARIANTS), None)
    last = ["rank", "rank-vector", "rank-simscore", "rank-muse", "gain-over-id_only"]
    assert list(stages)[-5:] == last
    assert stages["gain-over-id_only"].needs == tuple(last[:-1])
    on_score = gain_stages(recipe, ("id_only", "simtier_make"), "base_score")
    assert "rank" not in on_score
    assert "make" in on_score["rank-on-base_score-simtier_make"].needs
    assert "make" not in on_score["rank-on-base_score-id_only"].needs


def test_a_recipe_without_make_gets_it_for_the_variants_that_read_it(world):
    _, _, recipe, _ = world
    update = {"variants": {"id_only": ["din"]}, "published": "id_only"}
    ranking = recipe.ranking.model_copy(update=update)
    small = recipe.model_copy(update={"ranking": ranking})
    stages = gain_stages(small, ("id_only", "make"), None)
    assert stages["make"].wanted(small) and "make" not in stages["rank"].needs
    stages = gain_stages(small, ("id_only", "simtier"), None)
    assert "make" in stages["rank"].needs


def test_errors_teach(world):
    go, *_ = world
    with pytest.raises(TfmmError, match="simteir"):
        go(["simteir"])
    with pytest.raises(TfmmError, match="no such offset"):
        go(None, "score")
