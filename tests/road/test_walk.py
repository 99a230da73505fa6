"""The whole road on a small marketplace with planted user ids and search texts."""

import io
import json
import re
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import shop
import yaml
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.evaluation import GainTable
from tfmm.export.publish import rollback, versions
from tfmm.road.explain import explain_example
from tfmm.road.gain import gain
from tfmm.road.gate import Gate, Quality
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.stages import STAGES
from tfmm.road.tickets import Tickets
from tfmm.road.walk import walk as walk_road

pytestmark = pytest.mark.slow
README = Path(__file__).parents[2] / "README.md"


def walk(recipe, **kwargs):
    """Walks the road; returns what the console showed."""
    console = Console(file=io.StringIO(), width=120)
    walk_road(Road(recipe, console), STAGES, **kwargs)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def walked(simulated, tmp_path_factory):
    """(recipe, what was shown) after the whole road on the user's own tables."""
    base = tmp_path_factory.mktemp("road")
    (base / "user.key").write_bytes(shop.KEY)
    path = base / "recipe.yaml"
    content = {
        "name": "planted",
        "input": {"schema": str(simulated[0])},
        "out": str(base / "out"),
        "saved_models": str(base / "saved_models"),
        "key_file": "user.key",
        "pretrain": {
            "image": {"dimension": 16, "image_size": 32},
            "text": {"dimension": 16, "sequence_length": 8},
            "batch_size": 16,
            "epochs": 1,
        },
        "make": {"epochs": 1, "batch_size": 64},
        "ranking": {"batch_size": 64, "calibrate": True},
    }
    path.write_text(yaml.safe_dump(content))
    recipe = Recipe.from_yaml(path)
    return recipe, walk(recipe)


def test_every_stage_is_done_and_shown(walked):
    recipe, shown = walked
    tickets = Tickets(Road(recipe), STAGES)
    assert all(tickets.is_done(stage) for stage in STAGES.values())
    assert all(f"{name} " in shown for name in STAGES)
    assert "simulator's best" not in shown  # the user's own tables know no truth


def test_a_second_run_finds_everything_done(walked):
    assert walk(walked[0]).count("done before") == len(STAGES)


def test_a_changed_setting_makes_again_only_what_it_touches(walked):
    recipe, _ = walked
    changed = recipe.model_copy(
        update={"ranking": recipe.ranking.model_copy(update={"epochs": 2})}
    )
    changed._folder = recipe.folder
    tickets = Tickets(Road(changed), STAGES)
    stale = [stage.name for stage in STAGES.values() if not tickets.is_done(stage)]
    assert stale == ["rank", "evaluate", "export", "parity", "report"]


def test_only_needs_what_comes_before(walked, tmp_path):
    recipe, _ = walked
    elsewhere = recipe.model_copy(update={"out": str(tmp_path)})
    elsewhere._folder = recipe.folder
    with pytest.raises(TfmmError, match="needs 'item-media', which is not done"):
        walk(elsewhere, only="pretrain")
    with pytest.raises(TfmmError, match="has no stage 'pretrian'"):
        walk(recipe, only="pretrian")


def test_served_scores_equal_the_models(walked):
    served = json.loads(Path(walked[0].out, "serving", "served.json").read_text())
    assert served["requests"] > 10
    assert set(served["largest_differences"]) == {"REST", "gRPC", "the C API"}
    assert max(served["largest_differences"].values()) <= 1e-5
    scores = [row["score"] for row in served["answer"]]
    assert scores == sorted(scores, reverse=True)


def test_the_report_accounts_for_every_record(walked):
    page = Path(walked[0].out, "report.html").read_text()
    assert re.search(r">0<[^§]{0,80}records? unaccounted", page)


def test_no_planted_user_or_search_text_is_in_any_output(walked):
    recipe, _ = walked
    files = [*Path(recipe.out).rglob("*"), *Path(recipe.saved_models).rglob("*")]
    for path in filter(Path.is_file, files):
        content = readable(path)
        assert shop.PLANTED_USER.encode() not in content, path
        # The towers are trained on the searches' words: pairs hold them, no other.
        if "pairs" not in path.parts:
            assert shop.PLANTED_QUERY.encode() not in content, path


def readable(path):
    """A file's bytes, unpacked where its format packs them."""
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pydict()).encode()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return b"".join(map(archive.read, archive.namelist()))
    return path.read_bytes()


def test_rankers_are_calibrated(walked):
    assert len(re.findall(r"^ +(not )?calibrated", walked[1], re.MULTILINE)) == 4


def test_an_example_is_explained(walked):
    recipe, _ = walked
    table = explain_example(Road(recipe))
    names = [str(column.header) for column in table.columns]
    assert {"without\nsimtier", "without\nmake"} <= set(names)
    assert table.row_count > 0
    assert "what each interest adds" in Path(recipe.out, "report.html").read_text()


def test_the_readme_example_runs(walked, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(example.replace("out/demo", walked[0].out), {})
    assert "GroupedAuc(value=" in capsys.readouterr().out


def test_the_gain_card_over_the_logged_score(walked):
    recipe, _ = walked
    console = Console(file=io.StringIO(), width=120)
    table = gain(Road(recipe, console), ["simtier"], "base_score")
    assert [row.name for row in table.rows] == ["production", "id_only", "simtier"]
    evaluated = GainTable.open(Path(recipe.out, "evaluation", "gain.json"))
    assert table["production"].all == evaluated["production"].all
    assert evaluated["simtier"].total.over_production is not None
    assert table["simtier"].cost.vector_bytes > 0
    assert evaluated["id_only"].cost.vector_bytes == 0
    shown = console.file.getvalue()
    assert "SimTier over production" in shown and "What they cost" in shown


def test_a_new_version_is_compared_with_the_served_one(walked, monkeypatch):
    recipe, _ = walked
    road = Road(recipe)
    note, model = road.path("serving", "publish.json"), road.saved_models / "ranker"
    assert json.loads(note.read_text()) == {"compared_with": None}
    before = versions(model)
    shown = walk(recipe, only="export")
    assert "served, version 1" in shown and versions(model) == [*before, before[-1] + 1]
    found = json.loads(note.read_text())
    assert found["new"] == found["served"] and 0.4 < found["new"]["gauc"] < 1
    qualities = iter([Quality(0.5, 1.0), Quality(0.6, 1.0)] * 2)
    monkeypatch.setattr(Gate, "_quality", lambda *_: next(qualities))
    with pytest.raises(TfmmError, match=r"GAUC 0.5000 against 0.6000"):
        walk(recipe, only="export")
    assert len(versions(model)) == len(before) + 1
    road = Road(recipe, Console(file=io.StringIO(), width=120), force=True)
    walk_road(road, STAGES, only="export")
    assert json.loads(note.read_text())["forced"]
    assert len(versions(model)) == len(before) + 2
    assert rollback(model) == [before[-1] + 2]
    assert versions(model)[-1] == before[-1] + 1
