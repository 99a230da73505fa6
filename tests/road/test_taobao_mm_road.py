"""The Taobao-MM recipe on made-up files in the public layout."""

import io

import pytest
from rich.console import Console

from benchmarks.taobao_mm_data import Size, write
from tfmm.errors import TfmmError
from tfmm.evaluation import GainTable
from tfmm.records.vocabularies import Vocabularies
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.stages import STAGES
from tfmm.road.walk import walk


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """The shipped recipe with two rankers."""
    monkeypatch.setenv("TFMM_DATA", str(tmp_path))
    shipped = Recipe.from_yaml("taobao_mm.yaml")
    kept = {name: shipped.ranking.variants[name] for name in ("id_only", "muse")}
    reported = {name: shipped.ranking.reported[name] for name in kept}
    changed = {"variants": kept, "reported": reported}
    ranking = shipped.ranking.model_copy(update=changed)
    return shipped.model_copy(update={"out": str(tmp_path / "out"), "ranking": ranking})


def with_input(recipe, **changes):
    given = recipe.input.taobao_mm.model_copy(update=changes)
    return recipe.model_copy(
        update={"input": recipe.input.model_copy(update={"taobao_mm": given})}
    )


def run(recipe, only=None):
    console = Console(file=io.StringIO(), width=120)
    walk(Road(recipe, console), STAGES, only=only)
    return console.file.getvalue()


@pytest.mark.slow
def test_the_road_on_made_up_files(recipe, tmp_path):
    write(tmp_path / "taobao_mm", Size(users=120, items=200, history=30), ("raw",))
    text = run(recipe)
    assert "muse: GAUC 0." in text and "reported 0.6154" in text
    table = GainTable.open(tmp_path / "out" / "evaluation" / "gain.json")
    assert {row.name for row in table.rows} == {"id_only", "muse"}
    assert (tmp_path / "out" / "report.html").is_file()
    assert run(recipe).count("done before") == 11


def test_what_changed_is_made_again_and_nothing_else(recipe, tmp_path):
    source = tmp_path / "taobao_mm"
    write(source, Size(users=40, items=60, history=8), ("raw",))
    stages = ("input", "item-index", "vocabularies", "behaviours")
    for stage in stages:
        run(recipe, only=stage)
    road = Road(recipe)
    from tfmm.road.tickets import Tickets

    def undone(changed):
        tickets = Tickets(Road(changed), STAGES)
        return [name for name in stages if not tickets.is_done(STAGES[name])]

    assert undone(recipe) == []
    assert undone(with_input(recipe, users_fraction=0.1)) == list(stages)
    path = source / "raw" / "train_samples.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    assert undone(recipe) == list(stages)
    vocabularies = Vocabularies.open(road.path("vocabularies"))
    assert vocabularies.spec.max_history == 1000


def test_a_variable_that_is_not_set_is_named(recipe, monkeypatch):
    monkeypatch.delenv("TFMM_DATA")
    with pytest.raises(TfmmError, match=r"Received: \$\{TFMM_DATA\}/taobao_mm"):
        run(recipe, only="input")
