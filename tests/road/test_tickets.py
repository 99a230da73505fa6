"""When a stage is done: fake stages, no training."""

import io

import pytest
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.records.manifest import write_manifest, writing
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.stage import Stage
from tfmm.road.tickets import Tickets
from tfmm.road.walk import walk


@pytest.fixture
def world(tmp_path):
    """A road, three stages a -> b -> c, and what they read and did."""
    seen = {"ran": [], "content": "x", "outside": 1, "left": 1}

    def stage(name, *needs, **options):
        def run(road):
            seen["ran"].append(name)
            with writing(road.path(name)) as tmp:
                text = seen["content"] if name == "a" else name
                (tmp / "file.txt").write_text(text)
                write_manifest(tmp, kind=name, counts={})

        return Stage(name, f"makes {name}", run, (name,), needs=needs, **options)

    stages = {
        "a": stage("a", reads=lambda road: seen["outside"]),
        "b": stage("b", "a", settings=lambda recipe: recipe.seed),
        "c": stage("c", "b", leaves=lambda road: seen["left"]),
    }
    recipe = Recipe.model_validate(
        {
            "name": "fake",
            "input": {"marketplace": {}},
            "out": str(tmp_path / "out"),
            "pretrain": {"text": {}},
        }
    )

    def go(recipe=recipe, **options):
        seen["ran"].clear()
        road = Road(recipe, Console(file=io.StringIO()))
        walk(road, stages, **options)
        return list(seen["ran"])

    return seen, recipe, go, tmp_path / "out", stages


def test_what_is_done_is_left_out(world):
    _, _, go, _, _ = world
    assert go() == ["a", "b", "c"]
    assert go() == []


def test_a_setting_touches_its_stage_and_only_a_new_result_the_next(world):
    _, recipe, go, _, _ = world
    go()
    # b is made again with the same result, so c stays.
    assert go(recipe.model_copy(update={"seed": 8})) == ["b"]


def test_a_new_result_touches_what_was_made_from_it(world):
    seen, _, go, _, _ = world
    go()
    seen["content"] = "y"
    assert go(only="a") == ["a"]
    assert go() == ["b"]


def test_something_outside_changed(world):
    seen, _, go, _, _ = world
    go()
    seen["outside"] = 2
    assert go() == ["a"]
    seen["left"] = 2
    assert go() == ["c"]


def test_a_missing_or_unfinished_output_is_made_again(world):
    _, _, go, out, _ = world
    go()
    (out / "b" / "manifest.json").unlink()
    (out / "b" / "file.txt").unlink()
    assert go() == ["b"]


def test_a_damaged_ticket_is_no_ticket(world):
    _, _, go, out, _ = world
    go()
    (out / ".stages" / "c.json").write_text("{")
    assert go() == ["c"]


def test_from_runs_it_and_all_later_ones(world):
    _, _, go, _, _ = world
    go()
    assert go(start="b") == ["b", "c"]


def test_only_refuses_before_its_needs(world):
    _, recipe, go, _, stages = world
    with pytest.raises(TfmmError, match="'c' needs 'b', which is not done"):
        go(only="c")
    assert not Tickets(Road(recipe), stages).is_done(stages["c"])


def test_an_interrupted_stage_leaves_the_others_done(world):
    _, _, go, out, stages = world

    def interrupted(road):
        with writing(road.path("b")) as tmp:
            (tmp / "half.txt").write_text("half")
            raise KeyboardInterrupt

    good = stages["b"]
    stages["b"] = Stage("b", "is killed", interrupted, ("b",), needs=("a",))
    with pytest.raises(KeyboardInterrupt):
        go()
    assert [path.name for path in out.iterdir() if path.name != ".stages"] == ["a"]
    stages["b"] = good
    assert go() == ["b", "c"]
