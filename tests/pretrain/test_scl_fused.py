import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.encoders.fusion_encoder import FusionEncoder, fusion_tower
from tfmm.encoders.image_encoder import ImageEncoder
from tfmm.encoders.text_encoder import TextEncoder
from tfmm.encoders.titles import WordPieces
from tfmm.encoders.vector_encoder import vectors
from tfmm.errors import TfmmError
from tfmm.pretrain.scl import SCL

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "hat"]


@pytest.fixture
def make_scl(make_encoder):
    def make(tasks, **settings):
        used = {m for t in tasks for m in t.rpartition(":")[2].split("->")}
        parts = {"image", "text"} if "fused" in used else used
        encoders = {
            "image": ImageEncoder(make_encoder("image").tower),
            "text": TextEncoder(make_encoder("text").tower, WordPieces(VOCABULARY, 3)),
            "vector": vectors(
                np.eye(3), ids=["a", "b", "c"], dimension=4, projection="linear"
            ),
        }
        given = {name: encoders[name] for name in encoders if name in used | parts}
        if "fused" in used:
            given["fusion"] = FusionEncoder(fusion_tower(4, 4, 4))
        scl = SCL(**given, tasks=tasks, bank_size=9, **settings)
        scl.compile(optimizer=keras.optimizers.Adam(0.05))
        return scl

    return make


def fused_by_hand(scl, batch, part, momentum=False):
    towers = (
        {name: copy.copy for name, copy in scl.momentum_towers.items()}
        if momentum
        else scl.towers
    )
    there = [batch[f"has_{part}_{name}"] for name in ("image", "text")]
    inputs = [
        tf.where(has[:, None], towers[name](batch[f"{part}_{name}"]), 0.0)
        for name, has in zip(("image", "text"), there, strict=True)
    ]
    fused = towers["fused"]([*inputs, *there])
    return tf.where((there[0] | there[1])[:, None], fused, 0.0).numpy()


def test_fused_vectors_of_items_with_one_part_or_none(make_scl, make_batch):
    scl = make_scl(["fused->fused", "image->image"])
    batch = make_batch([5, 6, 7, 8], negatives=[9, 0, 9, 3])
    batch["has_item_image"] = tf.constant([True, False, True, False])
    batch["has_item_text"] = tf.constant([True, True, False, False])
    found = scl.predict_on_batch(batch)
    item = fused_by_hand(scl, batch, "item")
    np.testing.assert_allclose(found["fused_item"], item, atol=1e-5)
    np.testing.assert_allclose(found["fused_item"][3], 0.0)
    np.testing.assert_allclose(
        np.linalg.norm(found["fused_item"][:3], axis=1), 1.0, atol=1e-5
    )
    query = fused_by_hand(scl, batch, "query")[:3]
    np.testing.assert_allclose(found["fused_query"][:3], query, atol=1e-5)
    assert not found["fused_query"][3].any()  # Its item has neither.
    assert set(found) == {
        f"{name}_{part}"
        for name in ("fused", "image")
        for part in ("query", "item", "negative")
    }


@pytest.mark.slow
def test_the_fused_bank_holds_the_copies_fused_vectors(make_scl, make_batch):
    scl = make_scl(["fused->fused"], momentum=0.5)
    assert set(scl.momentum_towers) == {"image", "text", "fused"}
    assert set(scl.banks) == {"fused"}
    batch = make_batch([5, 6, 7], absent=("item_text",))
    for step in range(2):
        expected = fused_by_hand(scl, batch, "item", momentum=True)
        scl.train_on_batch(batch)
        keys = scl.banks["fused"].keys.numpy()[3 * step : 3 * step + 3]
        np.testing.assert_allclose(keys, expected, atol=1e-5)
    live = fused_by_hand(scl, batch, "item")
    assert np.abs(live - expected).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [
    ["text->fused", "fused->fused"],
    ["fused->image", "image->image"],
    ["clicked:vector->vector", "text->vector"],
    ["image->image", "clicked:image->image", "item:text->image", "text->image"],
])  # fmt: skip
def test_every_tower_learns_and_is_saved(make_scl, make_batch, tmp_path, tasks):
    scl = make_scl(tasks, symmetric=True, bank_start=2)
    source = [0, 1, 2, 0, 1, 2] if ":" in "".join(tasks) else [0] * 6
    more = {"source": source, "positives": [[6], [0], [0], [0], [5], [0]]}
    batches = [
        make_batch([5, 6, 7, 8, 9, 3], negatives=[9, 8, 4, 3, 0, 0], seed=s, **more)
        for s in range(4)
    ]
    for batch in batches:  # So that the vectors of absent parts learn too.
        batch["has_query_image"] = tf.constant([True, False, True, True, True, True])
        batch["has_query_text"] = tf.constant([True, True, False, True, True, True])
    before = [w.numpy().copy() for w in scl.trainable_variables]
    for batch in batches[:3]:
        scl.train_on_batch(batch)
    for old, weight in zip(before, scl.trainable_variables, strict=True):
        assert np.abs(old - weight.numpy()).max() > 0, weight.path
    path = tmp_path / "scl.keras"
    scl.save(path)
    loaded = keras.models.load_model(path)
    assert loaded.bank_start == 2 and loaded.objective == scl.objective
    ours, theirs = scl.predict_on_batch(batches[3]), loaded.predict_on_batch(batches[3])
    for name, found in ours.items():
        np.testing.assert_allclose(theirs[name], found, atol=1e-6)
    for model in (scl, loaded):
        model.train_on_batch(batches[3])
    for a, b in zip(scl.variables, loaded.variables, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), atol=1e-6, err_msg=a.path)


def test_sources_share_a_query_tower_and_see_their_own_rows(make_scl, make_batch):
    scl = make_scl(["text->image", "item:text->image", "text->text"])
    assert set(scl.query_towers) == {"text_to_image"}
    batch = make_batch([5, 6, 7], source=[0, 2, 1])
    found = scl.predict_on_batch(batch)
    expected = scl.query_towers["text_to_image"](batch["query_text"]).numpy()
    np.testing.assert_allclose(found["text_to_image_query"][0], expected[0], atol=1e-5)
    query = found["item_text_to_image_query"]
    np.testing.assert_allclose(query[1], expected[1], atol=1e-5)
    assert not query[0].any() and not found["text_to_image_query"][1:].any()


def test_tasks_of_other_sources_need_the_source(make_scl, make_batch):
    with pytest.raises(TfmmError, match="lacks: source"):
        make_scl(["clicked:image->image"]).train_on_batch(make_batch([5, 6]))
