import keras
import numpy as np
import pytest
from gradients import numeric_gradients, tensorflow_gradients
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


def _plain(normalization, candidates, history, mask, *weights):
    """DIN with its whole first layer, one candidate at a time, in float64."""
    query, key, cross, bias, *dense = weights
    result = np.zeros(candidates.shape)
    for b, n in np.ndindex(*candidates.shape[:2]):
        q, rows = candidates[b, n], history[b][mask[b]]
        hidden = q @ query + rows @ key + (q * rows) @ cross + bias
        for kernel, shift in zip(dense[::2], dense[1::2], strict=True):
            hidden = np.tanh(hidden) @ kernel + shift
        weights = np.exp(hidden[:, 0])
        if normalization == "sigmoid":
            weights = weights / (1 + weights)
        elif len(rows):
            weights /= weights.sum()
        result[b, n] = weights @ rows
    return result


@pytest.mark.parametrize("normalization", ["softmax", "sigmoid"])
def test_equals_the_plain_version_and_its_gradients(normalization):
    layer = TargetAttention((5, 3), "tanh", normalization)
    candidates, history = _random(2, 3, 4), _random(2, 6, 4)
    layer.build(candidates.shape, history.shape)
    layer.set_weights([_random(*w.shape) for w in layer.weights])
    mask = np.array([[True, True, False, True, False, False], [False] * 6])
    dense = [w for part in layer.dense_layers for w in part.weights]
    weights = [layer.query_kernel, layer.key_kernel, layer.cross_kernel, layer.bias]
    weights += dense
    values = [ops.convert_to_numpy(w).astype("f8") for w in weights]
    expected = _plain(normalization, candidates, history, mask, *values)
    actual = ops.convert_to_numpy(layer(candidates, history, mask))
    np.testing.assert_allclose(actual, expected, atol=1e-6)

    scale = _random(2, 3, 4) + 1
    exact = numeric_gradients(
        lambda q, h, *w: (_plain(normalization, q, h, mask, *w) * scale).sum(),
        [candidates, history, *values],
    )
    found = tensorflow_gradients(
        lambda q, h: layer(q, h, mask) * scale,
        [candidates, history],
        [w.value for w in weights],
    )
    for gradient, numeric in zip(found, exact, strict=True):
        np.testing.assert_allclose(gradient, numeric, atol=1e-4)


def test_attention_by_hand():
    layer = TargetAttention((1,), "relu")
    layer.build((1, 1, 1), (1, 2, 1))
    weights = [[[1.0]], [[-1.0]], [[2.0]], [0.5], [[0.1]], [0.0]]
    layer.set_weights([np.array(w, "float32") for w in weights])
    history = np.array([[[2.0], [-1.0]]], "float32")
    found = layer(np.array([[[3.0]]], "float32"), history, np.ones([1, 2], bool))
    # 3 - 2 + 2 * 6 + 0.5 = 13.5; 3 + 1 - 2 * 3 + 0.5 = -1.5, cut to 0.
    # u = (e^1.35 * 2 - e^0 * 1) / (e^1.35 + e^0)
    expected = (2 * np.exp(1.35) - 1) / (np.exp(1.35) + 1)
    np.testing.assert_allclose(ops.convert_to_numpy(found), [[[expected]]], rtol=1e-6)


def test_order_of_the_batch_never_matters():
    layer, mask = TargetAttention(), np.array([[True] * 6, [True] * 2 + [False] * 4])
    candidates, history = _random(2, 3, 4), _random(2, 6, 4)
    expected = ops.convert_to_numpy(layer(candidates, history, mask))[::-1]
    actual = layer(candidates[::-1], history[::-1], mask[::-1])
    np.testing.assert_allclose(ops.convert_to_numpy(actual), expected, atol=1e-6)


def test_config():
    layer = TargetAttention((5, 3), "tanh", "sigmoid")
    again = TargetAttention.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


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
