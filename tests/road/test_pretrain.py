"""The stage that trains the towers: interrupted, resumed, and what it leaves."""

import io
import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest
import yaml
from rich.console import Console

import tfmm
from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest
from tfmm.road import pretrain as stage
from tfmm.road import train
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road

pytestmark = pytest.mark.slow


class Press(keras.callbacks.Callback):
    """Ctrl-C after so many steps."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def make_road(simulated, tmp_path):
    """A function: name and settings to a road whose jobs are done."""
    schema, done, _ = simulated

    def make(name, **pretrain):
        out = tmp_path / name
        for folder in ("index", "items", "pairs"):
            shutil.copytree(done / folder, out / folder)
        content = {
            "name": "a",
            "input": {"schema": str(schema)},
            "out": str(out),
            "user_key": "0123456789abcdef",
            "pretrain": {
                "text": {"dimension": 8, "sequence_length": 8, "mask_words": 0.1},
                "batch_size": 8,
                "epochs": 2,
                **pretrain,
            },
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        console = Console(file=io.StringIO(), width=120)
        return Road(Recipe.from_yaml(path), console)

    return make


def weights(road):
    encoder = tfmm.encoders.Encoder.load(road.path("encoders", "text"))
    return encoder.tower.get_weights()


def history(road):
    return json.loads(road.path("encoders", "history.json").read_text())


def test_an_interrupted_stage_goes_on_at_its_step(make_road, monkeypatch):
    whole, broken = make_road("whole"), make_road("broken", show_searches=True)
    stage.pretrain(whole)
    monitors = stage._monitors
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_monitors", lambda *a: [*monitors(*a), Press(3)])
        with pytest.raises(KeyboardInterrupt):
            stage.pretrain(broken)
    assert not broken.path("encoders").exists()
    (kept,) = broken.path(".work").glob("pretrain-*/checkpoints/*")
    assert kept.name == "step-0000000003"
    stage.pretrain(broken)
    for mine, theirs in zip(weights(broken), weights(whole), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-7)
    ours, theirs = history(broken), history(whole)
    assert list(ours) == list(theirs)
    for name, values in ours.items():
        assert values == pytest.approx(theirs[name], abs=1e-6), name
    shown = broken.console.file.getvalue()
    assert "going on where it was interrupted" in shown
    assert not broken.path(".work").exists()
    # What the shown lines, the folder and the history tell.
    assert "training pairs: search" in shown
    assert "of the tokens of title are unknown" in shown
    unknown = read_manifest(broken.path("encoders"))["unknown_tokens"]
    assert list(unknown) == ["title"] and 0 <= unknown["title"] < 1
    assert "text Acc@1" in shown
    measured = json.loads(broken.path("encoders", "retrieval.json").read_text())
    assert measured["text"]["numbers"]["acc@5"] == pytest.approx(
        history(broken)["val_text_acc@5"][-1]
    )
    assert broken.path("encoders", "neighbours_text.png").stat().st_size > 1000
    # The words of searches are shown only where the recipe says so.
    assert not whole.path("encoders", "neighbours_text.png").exists()


def test_other_settings_start_anew(make_road, monkeypatch):
    road = make_road("one", epochs=1)
    monkeypatch.setattr(stage, "_monitors", lambda *a: [Press(2)])
    with pytest.raises(KeyboardInterrupt):
        stage.pretrain(road)
    (before,) = road.path(".work").iterdir()
    pretrain = road.recipe.pretrain.model_copy(update={"margin": 0.2})
    road.recipe = road.recipe.model_copy(update={"pretrain": pretrain})
    with pytest.raises(KeyboardInterrupt):
        stage.pretrain(road)
    (after,) = road.path(".work").iterdir()
    assert after != before


def test_everything_at_once_ends_in_a_catalog(make_road, tmp_path):
    index = tfmm.ItemIndex.open(make_road("index").path("index"))
    ids = index.ids
    vectors = np.random.default_rng(0).normal(size=(len(ids), 6))
    np.save(tmp_path / "vectors.npy", vectors.astype("float32"))
    np.save(tmp_path / "ids.npy", np.array(ids))
    road = make_road(
        "all",
        image={"dimension": 8, "image_size": 32, "freeze": "block1"},
        text={"dimension": 8, "sequence_length": 8},
        vector={"file": "vectors.npy", "ids": "ids.npy", "dimension": 8},
        fused={"dimension": 8},
        tasks=["text->text", "text->image", "fused->fused", "text->vector"],
        momentum={"start": 0.9, "end": 0.99},
        bank_size=50,
        bank_start=2,
        symmetric=True,
        chunk_size=4,
        early_stop=1,
        epochs=1,
    )
    stage.pretrain(road)
    train.embed_items(road)
    catalog = train.open_catalog(road)
    assert set(catalog.modalities) == {"image", "text", "fused", "vector"}
    assert catalog.modalities["vector"].present[2:].all()
    facts = json.loads(road.path("encoders", "retrieval.json").read_text())
    columns = [table["column"] for table in facts["text_to_image"]["slices"]]
    assert columns == ["training pairs of the item", "category", "brand"]
    kinds = {probe["kind"] for probe in facts["text_to_image"]["probes"]}
    assert kinds == {"neighbours", "words"}
    # Words that look for pictures have a tower of their own, which is kept.
    query = tfmm.encoders.Encoder.load(road.path("encoders", "query_text_to_image"))
    assert query.modality == "text" and query.dimension == 8


def test_supplied_pairs_of_the_tests_time_stop_the_run(make_road, tmp_path):
    road = make_road("late", pairs="mine")
    shutil.copytree(road.path("pairs", "test"), tmp_path / "mine")
    with pytest.raises(TfmmError, match="trains on what is to be tested"):
        stage.pretrain(road)
