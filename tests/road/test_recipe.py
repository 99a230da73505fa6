"""Recipes: what ships loads, what does not fit is taught."""

from importlib import resources
from pathlib import Path

import pytest

from tfmm.errors import TfmmError
from tfmm.ranking.interests.registry import NAMES
from tfmm.road.ranking_recipe import INTERESTS
from tfmm.road.recipe import Recipe
from tfmm.road.stages import STAGES

SHIPPED = sorted(Path(str(resources.files("tfmm.recipes"))).glob("*.yaml"))


def write(folder, text):
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_load(path):
    assert Recipe.from_yaml(path).name == path.stem


def test_a_shipped_recipe_is_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Recipe.from_yaml("recipes/demo.yaml").name == "demo"


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "name: mine\ninput: {marketplace: {}}\nout: o\npretrain: {text: {}}\n"
    (tmp_path / "demo.yaml").write_text(text)
    assert Recipe.from_yaml("demo.yaml").name == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nout: o\npretrain: {text: {}}\n", "input: Field required"),
        (
            "name: a\nout: o\ninput: {}\npretrain: {text: {}}\n",
            "exactly one of schema, marketplace, movielens",
        ),
        (
            "name: a\nout: o\ninput: {marketplace: {}}\n",
            "exactly one of pretrain and vectors",
        ),
        (
            "name: a\nout: o\ninput: {marketplace: {}}\npretrain: {}\n",
            "an image tower, a text tower or both",
        ),
        (
            "name: a\nout: o\ninput: {marketplace: {size: huge}}\n",
            "input.marketplace.size.*Received: 'huge'",
        ),
        ("name: [", "not valid YAML"),
    ],
)
def test_what_does_not_fit_is_taught(tmp_path, text, message):
    with pytest.raises(TfmmError, match=message):
        Recipe.from_yaml(write(tmp_path, text))


def test_a_missing_file_is_taught(tmp_path):
    with pytest.raises(TfmmError, match="There is no file"):
        Recipe.from_yaml(tmp_path / "nowhere.yaml")


def test_stages_need_only_earlier_ones():
    names = list(STAGES)
    for place, stage in enumerate(STAGES.values()):
        assert set(stage.needs) <= set(names[:place])


RANKING = """
name: shop
input: {schema: shop.yaml}
out: out
vectors: {file: vectors.parquet, name: clip, version: "1"}
ranking: %s
"""


def _ranking(tmp_path, text):
    return Recipe.from_yaml(write(tmp_path, RANKING % text)).ranking


def test_variants_by_name_or_by_interests(tmp_path):
    usual = _ranking(tmp_path, "{}")
    assert list(usual.variants) == ["id_only", "simtier", "make", "simtier_make"]
    named = _ranking(tmp_path, "{variants: [id_only, muse], published: muse}")
    assert named.variants["muse"] == ["din", "simtier", {"history_search": None}]
    assert not named.uses_make
    own = (
        "{variants: {id_only: , near: [din, {simtier: {tiers: 10}}]}, published: near}"
    )
    assert _ranking(tmp_path, own).variants == {
        "id_only": ["din"],
        "near": ["din", {"simtier": {"tiers": 10}}],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{variants: [id_only]}", "published is 'simtier_make', but variants are"),
        ("{variants: [magic], published: magic}", "variants magic have no interests"),
        ("{reported: {muse: 0.6}}", "reported has muse, but variants are id_only"),
        (
            "{variants: {id_only: [simteir]}, published: id_only}",
            "variants.id_only has 'simteir'; an interest is one of din",
        ),
        (
            "{variants: {id_only: [{din: , simtier: }]}, published: id_only}",
            "an interest is one of din",
        ),
    ],
)
def test_wrong_variants_are_taught(tmp_path, text, message):
    with pytest.raises(TfmmError, match=message):
        _ranking(tmp_path, text)


def test_the_interests_that_there_are():
    assert set(INTERESTS) == {*NAMES, "make"}


def test_every_variant_is_an_output(tmp_path):
    text = RANKING % "{variants: [id_only, muse], published: muse}"
    recipe = Recipe.from_yaml(write(tmp_path, text))
    assert STAGES["rank"].outputs_of(recipe) == ("rankers/id_only", "rankers/muse")
    assert not STAGES["make"].wanted(recipe)


def test_taobao_mm_has_the_stages_that_it_needs():
    recipe = Recipe.from_yaml("taobao_mm.yaml")
    wanted = [name for name, stage in STAGES.items() if stage.wanted(recipe)]
    assert wanted == [
        *("input", "item-index", "vocabularies", "behaviours", "audit", "embed-items"),
        *("rank", "evaluate", "export", "parity", "report"),
    ]


def test_taobao_mm_brings_its_vectors(tmp_path):
    text = "name: a\nout: o\ninput: {taobao_mm: {source: x}}\npretrain: {text: {}}\n"
    with pytest.raises(TfmmError, match="brings its vectors"):
        Recipe.from_yaml(write(tmp_path, text))
