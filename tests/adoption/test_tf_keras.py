"""Under tf_keras (Keras 2) the functions work and the layers refuse."""

import keras
import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.layers import (
    Embedding,
    HistorySimilarity,
    SimTier,
    TargetAttention,
    cosine_similarity,
    pair_mask,
    sim_tier,
)
from tfmm.ranking import MAKE
from tfmm.ranking.vector_tables import VectorShapes

tf_keras = pytest.importorskip("tf_keras", reason="tf-keras is not installed")
DIMENSION = 4


class Tiers(tf_keras.layers.Layer):
    """Counts, and a weight for each that tf_keras trains."""

    def build(self, input_shape):
        self.scale = self.add_weight("scale", shape=(10,), initializer="ones")

    def call(self, inputs):
        item, history = inputs
        mask = pair_mask(history[..., 0] != 0, item[:, None, 0] != 0)
        cosines = cosine_similarity(item[:, None], history)
        return sim_tier(cosines, mask, tiers=10)[:, 0] * self.scale


def inputs():
    return tf_keras.Input((DIMENSION,)), tf_keras.Input((None, DIMENSION))


def test_functions_inside_a_layer_train_and_are_saved(tmp_path):
    rng = np.random.default_rng(0)
    item = rng.normal(size=[64, DIMENSION]).astype("float32")
    history = rng.normal(size=[64, 5, DIMENSION]).astype("float32")
    cosines = np.einsum("bd,bld->bl", item, history)
    clicks = (cosines.sum(1) > 0).astype("float32")
    given = inputs()
    layer = Tiers()
    model = tf_keras.Model(given, tf_keras.layers.Dense(1, "sigmoid")(layer(given)))
    model.compile(tf_keras.optimizers.Adam(0.05), "binary_crossentropy")
    losses = model.fit([item, history], clicks, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert (layer.scale.numpy() != 1.0).any()
    counts = layer([item, history]) / layer.scale
    np.testing.assert_allclose(counts.numpy().sum(1), 5.0, atol=1e-5)

    model.save(tmp_path / "model.keras")
    again = tf_keras.models.load_model(
        tmp_path / "model.keras", custom_objects={"Tiers": Tiers}
    )
    expected = model.predict([item, history], verbose=0)
    np.testing.assert_array_equal(again.predict([item, history], verbose=0), expected)


def refusals():
    item, history = inputs()
    mask = tf_keras.Input((None,), dtype="bool")
    ids = tf_keras.Input((), dtype="int32")
    make = MAKE(VectorShapes(5, {"image": DIMENSION}), hidden=(4,))
    batch = dict.fromkeys(("history_item", "n_history", "item", "n_items"), ids)
    return {
        "SimTier": lambda: SimTier()(history, mask=mask),
        "TargetAttention": lambda: TargetAttention()(item, history, mask),
        "HistorySimilarity": lambda: HistorySimilarity()(item, history, ids, mask),
        "Embedding": lambda: Embedding(5, 2)(ids),
        "MakeExtractor": lambda: make.extractor_layer(
            {"image": history}, {"image": history}, {"image": mask}
        ),
        "MAKE": lambda: make(batch),
    }


@pytest.mark.parametrize(
    "name",
    (
        *("SimTier", "TargetAttention", "HistorySimilarity"),
        *("Embedding", "MakeExtractor", "MAKE"),
    ),
)
def test_a_layer_refuses_tensors_of_tf_keras(name):
    with pytest.raises(TfmmError, match=f"{name} is a Keras 3 layer.*keras.Input"):
        refusals()[name]()


def test_keras_3_tensors_pass():
    assert SimTier(4)(keras.Input((3,)), keras.Input((3,), dtype="bool")).shape[1] == 4
