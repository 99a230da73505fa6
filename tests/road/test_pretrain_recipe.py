"""The settings of pre-training, and what they change on the road."""

from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_backbones

from tfmm.encoders.sizes import SIZES
from tfmm.errors import TfmmError
from tfmm.records.example import encode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.tfrecord import write_records
from tfmm.road.pretrain_recipe import Tower
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.sound import check_recipe
from tfmm.road.stages import STAGES
from tfmm.road.tickets import Tickets
from tfmm.road.towers import towers
from tfmm.schema import read_yaml, validated

HEAD = "name: a\nout: o\ninput: {marketplace: {}}\n"


def recipe(tmp_path, pretrain, head=HEAD):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"{head}pretrain: {pretrain}\n")
    return Recipe.from_yaml(path)


def test_everything_can_be_set(tmp_path):
    text = """
  image: {preset: vit, freeze: backbone, backbone_rate: 0.05, augment: false}
  text: {size: tiny, mask_words: 0.15, vocabulary_size: 500}
  vector: {file: v.npy, ids: i.npy, projection: mlp, dimension: 64}
  fused: {dimension: 32}
  tasks: ["text->text", "clicked:image->image", "item:text->image", "fused->fused"]
  momentum: {start: 0.9, end: 0.999}
  bank_start: 100
  symmetric: true
  chunk_size: 32
  mixed_precision: bfloat16
  early_stop: 2
  checkpoint_every: 50
"""
    pretrain = recipe(tmp_path, text).pretrain
    assert pretrain.sources == ("search", "clicked", "item")
    assert pretrain.momentum.end == 0.999
    assert pretrain.text.mask_words == 0.15


def test_sizes_are_those_of_the_encoders():
    assert get_args(get_args(Tower.model_fields["size"].annotation)[0]) == tuple(SIZES)


def _road(tmp_path, pretrain):
    """A road with an index of two items and a folder of their titles."""
    road = Road(recipe(tmp_path, pretrain, HEAD.replace("out: o", f"out: {tmp_path}")))
    ItemIndex.create(["1", "2"]).save(road.path("index"))
    with writing(road.path("items")) as tmp:
        records = [encode({"title": [title]}) for title in (b"red shoe", b"hat") * 20]
        write_records(tmp / "items-0.tfrecord", records)
        write_manifest(tmp, kind="items", counts={})
    return road


def test_text_towers_are_made_as_asked(tmp_path):
    small, large = (
        towers(_road(tmp_path, f"{{text: {{dimension: 4, vocabulary_size: {n}}}}}"))
        for n in (10, 100)
    )
    assert "red" not in small["text"].tokens.vocabulary
    assert {"red", "shoe", "hat"} <= set(large["text"].tokens.vocabulary)


def test_a_presets_own_size_and_embedding(tmp_path):
    small_backbones.resnet().save_to_preset(str(tmp_path / "preset"))
    settings = f"{{image: {{preset: {tmp_path / 'preset'}, dimension: null}}}}"
    image = towers(_road(tmp_path, settings))["image"]
    assert (image.image_size, image.dimension) == (64, 64)
    assert "projection" not in image.stages


def test_vectors_whose_file_has_two_columns_like_ids(tmp_path):
    table = {"sku": [1, 2], "maker": ["x", "y"], "v": [[3.0, 4.0], [0.0, 2.0]]}
    pq.write_table(pa.table(table), tmp_path / "v.parquet")
    road = _road(tmp_path, "{vector: {file: v.parquet, ids: sku, projection: none}}")
    assert towers(road)["vector"].ids == ["1", "2"]
    before = STAGES["pretrain"].reads(road)
    pq.write_table(pa.table({**table, "more": [1, 2]}), tmp_path / "v.parquet")
    assert STAGES["pretrain"].reads(road) != before
    for ids, message in (("", "Name the column"), (", ids: skus", "no column 'skus'")):
        settings = f"{{vector: {{file: v.parquet{ids}, projection: none}}}}"
        with pytest.raises(TfmmError, match=message):
            towers(_road(tmp_path, settings))


def test_defaults_are_searches_alone(tmp_path):
    pretrain = recipe(tmp_path, "{image: {}}").pretrain
    assert pretrain.sources == ("search",)
    vector = recipe(tmp_path, "{vector: {file: v.npy, ids: i.npy}}").pretrain
    assert vector.sources == ("clicked",)  # a search has no vector of its own
    assert (pretrain.momentum, pretrain.bank_start, pretrain.chunk_size) == (
        0.99,
        0,
        None,
    )


@pytest.mark.parametrize(
    ("pretrain", "message"),
    [
        ("{}", "an image tower, a text tower or both"),
        ("{image: {}, fused: {}}", "an image and a text tower for the fused vector"),
        ("{text: {}, tasks: ['bought:text->text']}", "tasks.*bought"),
        ("{text: {}, tasks: []}", "tasks"),
        ("{text: {mask_words: 1.5}}", "mask_words.*Received: 1.5"),
        ("{text: {}, momentum: {begin: 1}}", "momentum"),
        ("{text: {}, mixed_precision: half}", "mixed_precision"),
        ("{vector: {file: v.npy, projection: deep}}", "projection"),
        ("{image: {size: tiny, preset: vit}}", "a `size` or a `preset`, not both"),
        ("{image: {size: huge}}", "size.*'micro', 'tiny', 'small' or 'base'.*huge"),
        ("{text: {dimension: null}}", "needs a `dimension`.*null is for a preset"),
        (
            "{text: {preset: bert, dimension: null, freeze: backbone}}",
            "nothing to train",
        ),
        ("{text: {preset: bert, vocabulary_size: 9}}", "preset's own vocabulary"),
    ],
)
def test_what_does_not_fit_is_taught(tmp_path, pretrain, message):
    with pytest.raises(TfmmError, match=message):
        recipe(tmp_path, pretrain)


def test_tasks_decide_the_pairs_and_checkpoints_decide_nothing(tmp_path):
    def made_from(pretrain, stage):
        road = Road(recipe(tmp_path, pretrain))
        return Tickets(road, STAGES).made_from(STAGES[stage])

    plain = "{text: {}}"
    named = "{text: {}, tasks: ['text->text']}"
    clicked = "{text: {}, tasks: ['clicked:text->text']}"
    often = "{text: {}, checkpoint_every: 7}"
    assert made_from(plain, "search-pairs") == made_from(named, "search-pairs")
    assert made_from(plain, "search-pairs") != made_from(clicked, "search-pairs")
    assert made_from(plain, "pretrain") != made_from(named, "pretrain")
    assert made_from(plain, "pretrain") == made_from(often, "pretrain")


def test_supplied_pairs_are_noticed_when_they_change(tmp_path):
    road = Road(recipe(tmp_path, "{text: {}, pairs: mine}"))
    before = STAGES["pretrain"].reads(road)
    with writing(tmp_path / "mine") as tmp:
        write_manifest(tmp, kind="pairs", counts={"written": 0})
    assert STAGES["pretrain"].reads(road) != before


def test_items_alone_need_no_searches(tmp_path, hand_made):
    content = read_yaml(hand_made[0])
    del content["searches"]
    folder = hand_made[0].parent
    schema = folder / "no_searches.yaml"
    from tfmm.schema import Schema

    validated(Schema, content, schema).to_yaml(schema)
    head = f"name: a\nout: o\nuser_key: 0123456789abcdef\ninput: {{schema: {schema}}}\n"
    alone = "{image: {}, text: {}, tasks: ['item:text->image']}"
    check_recipe(Road(recipe(tmp_path, alone, head)))
    with pytest.raises(TfmmError, match="has no `searches`"):
        check_recipe(Road(recipe(tmp_path, "{text: {}}", head)))
    vector = "{vector: {file: gone.npy}, tasks: ['item:vector->vector']}"
    with pytest.raises(TfmmError, match=r"no file .*gone.npy"):
        check_recipe(Road(recipe(tmp_path, vector, head)))
