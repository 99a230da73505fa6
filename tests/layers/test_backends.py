"""The layers give the same numbers on the TensorFlow and the JAX backend."""

import pytest
from backends import assert_same_on_both

_SCRIPT = """
import sys
import numpy as np
from keras import ops
from tfmm import layers

rng = np.random.default_rng(0)
codes = lambda *shape: rng.integers(-127, 128, shape).astype("int8")
mask = layers.valid_mask(np.array([4, 0]), 6)
similarity, pairs = layers.HistorySimilarity()(
    codes(2, 3, 8), codes(2, 6, 8), np.ones([2, 3], bool), mask)
attention = layers.TargetAttention((5, 4))
vectors = [rng.normal(size=s).astype("float32") for s in ([2, 3, 8], [2, 6, 8])]
attention.build((2, 3, 8), (2, 6, 8))
attention.set_weights(
    [rng.normal(size=w.shape).astype("float32") for w in attention.get_weights()])
embedding = layers.Embedding(7, 3)
embedding.build()
embedding.set_weights([rng.normal(size=[7, 3]).astype("float32")])
edges = (np.arange(-11, 12) / 10).astype("float32")
edges = np.concatenate([edges, *[
    np.nextafter(edges[edges != 0], np.float32(side)) for side in (-9, 9)]])
def filled(layer, *shapes):
    layer.build(*shapes)
    layer.set_weights(
        [rng.normal(size=w.shape).astype("float32") for w in layer.get_weights()])
    return layer
results = [
    similarity,
    layers.SimTier(10, "log1p")(similarity, pairs),
    *[
        layers.sim_tier(edges, np.ones(len(edges), bool), form=form)
        for form in ("paper", "muse")
    ],
    attention(*vectors, mask),
    embedding(np.array([[0, 5], [6, 5]])),
    layers.masked_mean(vectors[1], mask),
    *[layers.MaskedPooling(mode)(vectors[1], mask) for mode in ("sum", "max", "sqrtn")],
    *layers.most_similar(np.round(similarity, 1), pairs, 3),
    *layers.most_similar(similarity, pairs, 8),
    *layers.HistorySearch(2)(*vectors, mask),
    *layers.same_category(
        np.array([[1, 2, 0], [1, 1, 2]]), np.array([[1, 1, 0, 1, 2, 1]] * 2), mask, 2),
    *[
        filled(layers.SemanticTargetAttention(5, form), (2, 3, 8), (2, 6, 8))(
            *vectors, similarity, mask, pairs)
        for form in ("paper", "muse")
    ],
]
np.savez(sys.argv[1], *[ops.convert_to_numpy(x) for x in results])
"""


@pytest.mark.slow
def test_jax_equals_tensorflow(tmp_path):
    assert_same_on_both(_SCRIPT, tmp_path, atol=1e-5)
