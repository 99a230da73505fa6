import keras
import numpy as np
import pytest
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers import TargetAttention, interaction_hidden, masked_weights


def _random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def test_split_layer_equals_the_whole_one():
    q, h, kernel = _random(2, 3, 4), _random(2, 5, 4), _random(16, 6)
    whole = np.zeros([2, 5, 3, 6])
    for b, item, n in np.ndindex(2, 5, 3):
        x, y = q[b, n], h[b, item]
        whole[b, item, n] = np.concatenate([x, y, x - y, x * y]) @ kernel
    w1, w2, w3, w4 = np.split(kernel, 4)
    split = interaction_hidden(*map(ops.array, (q, h, w1 + w3, w2 - w3, w4)))
    np.testing.assert_allclose(ops.convert_to_numpy(split), whole, atol=1e-5)


def test_weights_by_hand():
    scores = np.array([[0.0, np.log(3.0), 50.0], [1.0, 1.0, 1.0]], "float32")
    mask = np.array([[True, True, False], [False] * 3])
    soft = ops.convert_to_numpy(masked_weights(scores, mask, "softmax"))
    # e^0 : e^log 3 = 1 : 3
    np.testing.assert_allclose(soft, [[0.25, 0.75, 0], [0, 0, 0]], atol=1e-6)
    sigmoid = ops.convert_to_numpy(masked_weights(scores, mask, "sigmoid"))
    # sigma(0) = 1/2, sigma(log 3) = 3/4
    np.testing.assert_allclose(sigmoid, [[0.5, 0.75, 0], [0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("normalization", ["softmax", "sigmoid"])
def test_padding_never_matters(normalization):
    layer = TargetAttention((5, 3), normalization=normalization)
    candidates, history = _random(2, 3, 4), _random(2, 6, 4)
    mask = np.array([[True, True, False, False, False, False], [False] * 6])
    expected = ops.convert_to_numpy(layer(candidates, history, mask))
    garbage = history.copy()
    garbage[~mask] = np.nan
    actual = ops.convert_to_numpy(layer(candidates, garbage, mask))
    np.testing.assert_array_equal(actual, expected)
    short = ops.convert_to_numpy(layer(candidates, history[:, :2], mask[:, :2]))
    np.testing.assert_allclose(short, expected, atol=1e-6)
    assert not expected[1].any()


def test_single_candidates_and_masks_by_candidate():
    layer = TargetAttention()
    candidates, history = _random(2, 3, 4), _random(2, 6, 4)
    mask = np.ones([2, 6], bool)
    many = ops.convert_to_numpy(layer(candidates, history, mask))
    one = ops.convert_to_numpy(layer(candidates[:, 1], history, mask))
    np.testing.assert_allclose(one, many[:, 1], atol=1e-6)
    pairs = np.ones([2, 3, 6], bool)
    pairs[:, 2] = False
    by_pair = ops.convert_to_numpy(layer(candidates, history, pairs))
    np.testing.assert_allclose(by_pair[:, :2], many[:, :2], atol=1e-6)
    assert not by_pair[:, 2].any()


def test_functional_model_saves_and_loads(tmp_path):
    inputs = (
        keras.Input((None, 4)),
        keras.Input((None, 4)),
        keras.Input((None,), dtype="bool"),
    )
    model = keras.Model(inputs, TargetAttention((5, 3))(*inputs))
    data = _random(2, 3, 4), _random(2, 6, 4), np.ones([2, 6], bool)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(data), model.predict(data))


@pytest.mark.parametrize("arguments", [{"hidden": ()}, {"normalization": "max"}])
def test_bad_arguments(arguments):
    with pytest.raises(TfmmError, match="Received"):
        TargetAttention(**arguments)


def test_frozen_from_the_start():
    attention = TargetAttention(trainable=False)
    attention(np.ones([1, 4]), np.ones([1, 3, 4]), np.ones([1, 3], bool))
    assert attention.variables
    assert not any(weight.trainable for weight in attention.variables)
