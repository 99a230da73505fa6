import keras
import numpy as np
import pytest
import tensorflow as tf
from gradients import numeric_gradients, tensorflow_gradients
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers import SemanticTargetAttention, dot_scores, semantic_scores

FORMS = ["paper", "muse"]


def _random(*shape, seed=0):
    rng = np.random.default_rng(sum(shape) + seed)
    return rng.normal(0, 0.7, shape).astype("float32")


def _inputs():
    """Two requests, the second with two valid positions; some vectors are missing."""
    mask = np.array([[True] * 5, [True, True, False, False, False]])
    similarity = np.tanh(_random(2, 3, 5))
    present = np.random.default_rng(4).random([2, 3, 5]) < 0.7
    return _random(2, 3, 4), _random(2, 5, 4), similarity, mask, present


def _layer(form, units=6, **kwargs):
    """A built layer whose weights are random, the scalars too."""
    layer = SemanticTargetAttention(units, form, **kwargs)
    layer.build((2, 3, 4), (2, 5, 4))
    shapes = [w.shape for w in layer.weights]
    layer.set_weights([_random(*shape, seed=i) for i, shape in enumerate(shapes)])
    return layer


def _swish(x):
    return x / (1 + np.exp(-x))


def _plain(form, candidates, history, similarity, mask, present, *weights):
    """The formulas, one candidate and one behaviour at a time, in float64."""
    if form == "muse":
        gammas, log_tau, w_q, b_q, w_k, b_k, w_v, b_v = weights
    else:
        gammas, w_q, w_k, w_v = weights
    result = np.zeros([*candidates.shape[:2], w_v.shape[1]])
    for b, n in np.ndindex(*candidates.shape[:2]):
        alphas, values = [], []
        for i in np.flatnonzero(mask[b]):
            if form == "muse":
                key = _swish(history[b, i] @ w_k + b_k)
                a = key @ _swish(candidates[b, n] @ w_q + b_q)
                r = similarity[b, n, i] / np.exp(log_tau)
                values.append(_swish(history[b, i] @ w_v + b_v))
            else:
                a = (history[b, i] @ w_k) @ (candidates[b, n] @ w_q)
                a, r = a / np.sqrt(w_k.shape[1]), similarity[b, n, i]
                values.append(history[b, i] @ w_v)
            both = gammas[0] * a + gammas[1] * r + gammas[2] * a * r
            alphas.append(both if present[b, n, i] else gammas[0] * a)
        if alphas:
            powers = np.exp(np.array(alphas) - max(alphas))
            result[b, n] = powers / powers.sum() @ np.array(values)
    return result


def _by_name(layer, form):
    """The weights in the order in which `_plain` takes them."""
    dense = [w for part in (layer.query, layer.key, layer.value) for w in part.weights]
    scalars = (
        [layer.gammas, layer.log_temperature] if form == "muse" else [layer.gammas]
    )
    return [*scalars, *dense]


def test_paper_by_hand():
    layer = SemanticTargetAttention(units=1)
    layer.build((1, 1, 1), (1, 2, 1))
    for part, value in ((layer.query, 2.0), (layer.key, 3.0), (layer.value, 10.0)):
        part.kernel.assign([[value]])
    layer.gammas.assign([1.0, 2.0, 3.0])
    found = layer(
        np.array([[[0.5]]], "float32"),
        np.array([[[1.0], [2.0]]], "float32"),
        np.array([[[0.5, 0.9]]], "float32"),
        np.array([[True, True]]),
        np.array([[[True, False]]]),
    )
    # a_ID = 3 * 1 = 3 and 6; alpha = 3 + 2 * 0.5 + 3 * 3 * 0.5 = 8.5, and 6 alone as
    # the second has no vector. u = (e^8.5 * 10 + e^6 * 20) / (e^8.5 + e^6)
    expected = (10 + 20 * np.exp(-2.5)) / (1 + np.exp(-2.5))
    np.testing.assert_allclose(ops.convert_to_numpy(found), [[[expected]]], rtol=1e-6)


def test_muse_starts_with_its_scalars():
    layer = SemanticTargetAttention(form="muse")
    layer.build((1, 1, 4), (1, 2, 4))
    assert ops.convert_to_numpy(layer.gammas).tolist() == [1, 1, 1]
    tau = np.exp(ops.convert_to_numpy(layer.log_temperature))
    np.testing.assert_allclose(tau, 0.1, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_equals_the_plain_version(form):
    layer = _layer(form)
    weights = [ops.convert_to_numpy(w).astype("f8") for w in _by_name(layer, form)]
    expected = _plain(form, *_inputs(), *weights)
    actual = ops.convert_to_numpy(layer(*_inputs()))
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_equal_numeric_ones(form):
    layer = _layer(form, units=3)
    candidates, history, similarity, mask, present = _inputs()
    weights = _by_name(layer, form)
    values = [ops.convert_to_numpy(w) for w in weights]
    scale = _random(2, 3, 3, seed=9)

    def plain(*arrays):
        found = _plain(form, *arrays[:3], mask, present, *arrays[3:])
        return (found * scale).sum()

    arrays = [candidates, history, similarity]
    expected = numeric_gradients(plain, [*arrays, *values])
    actual = tensorflow_gradients(
        lambda *tensors: layer(*tensors, mask, present) * scale,
        arrays,
        [w.value for w in weights],
    )
    for found, exact in zip(actual, expected, strict=True):
        np.testing.assert_allclose(found, exact, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_padding_never_matters_not_even_for_gradients(form):
    layer = _layer(form)
    candidates, history, similarity, mask, present = _inputs()
    expected = ops.convert_to_numpy(layer(*_inputs()))
    dirty, wild = history.copy(), similarity.copy()
    dirty[~mask] = np.nan
    wild[~(mask[:, None] & present)] = np.nan
    # Padding may claim to have a vector.
    claims = present | ~mask[:, None]

    def call(candidates, history, similarity):
        return layer(candidates, history, similarity, mask, claims)

    actual = ops.convert_to_numpy(call(candidates, dirty, wild))
    np.testing.assert_array_equal(actual, expected)
    weights = [w.value for w in layer.trainable_variables]
    for gradient in tensorflow_gradients(call, [candidates, dirty, wild], weights):
        assert np.isfinite(gradient).all()
    short = layer(
        candidates[1:],
        history[1:, :2],
        similarity[1:, :, :2],
        mask[1:, :2],
        present[1:, :, :2],
    )
    np.testing.assert_allclose(ops.convert_to_numpy(short), expected[1:], atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_an_all_padding_history_gives_zeros(form):
    candidates, history, similarity, mask, present = _inputs()
    found = _layer(form)(candidates, history, similarity, mask & False, present)
    assert not ops.convert_to_numpy(found).any()


@pytest.mark.parametrize("form", FORMS)
def test_order_of_the_batch_never_matters(form):
    layer, order = _layer(form), [1, 0]
    expected = ops.convert_to_numpy(layer(*_inputs()))[order]
    actual = ops.convert_to_numpy(layer(*(part[order] for part in _inputs())))
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_a_missing_vector_is_not_a_similarity_of_another_value():
    candidates, history, similarity, mask, present = _inputs()
    layer = _layer("paper")
    found = [
        ops.convert_to_numpy(layer(candidates, history, r, mask, present & False))
        for r in (similarity, -similarity, similarity * np.nan)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_single_candidates_and_masks_by_candidate():
    layer = _layer("muse")
    candidates, history, similarity, mask, present = _inputs()
    many = ops.convert_to_numpy(layer(*_inputs()))
    one = layer(candidates[:, 1], history, similarity[:, 1], mask, present[:, 1])
    np.testing.assert_allclose(ops.convert_to_numpy(one), many[:, 1], atol=1e-6)
    pairs = np.repeat(mask[:, None], 3, 1)
    pairs[:, 2] = False
    found = ops.convert_to_numpy(layer(candidates, history, similarity, pairs, present))
    np.testing.assert_allclose(found[:, :2], many[:, :2], atol=1e-6)
    assert not found[:, 2].any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_close_and_keeps_its_scalars(form, policy):
    exact = ops.convert_to_numpy(_layer(form)(*_inputs()))
    layer = _layer(form, dtype=policy)
    found = layer(*_inputs())
    assert found.dtype == layer.compute_dtype
    assert {w.dtype for w in layer.weights} == {"float32"}
    found = ops.convert_to_numpy(ops.cast(found, "float32"))
    np.testing.assert_allclose(found, exact, atol=0.05)


@pytest.mark.parametrize("form", FORMS)
def test_functional_model_saves_and_loads(form, tmp_path):
    inputs = (
        keras.Input((None, 4)),
        keras.Input((None, 4)),
        keras.Input((None, None)),
        keras.Input((None,), dtype="bool"),
        keras.Input((None, None), dtype="bool"),
    )
    layer = SemanticTargetAttention(6, form)
    model = keras.Model(inputs, layer(*inputs))
    assert model.output_shape == (None, None, 6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(_inputs()), model.predict(_inputs()))


@pytest.mark.parametrize("form", FORMS)
def test_no_tensor_of_pairs_and_components(form):
    layer = SemanticTargetAttention(8, form)
    shapes = [2, 3, 8], [2, 50, 8], [2, 3, 50], [2, 50], [2, 3, 50]
    kinds = [tf.float32] * 3 + [tf.bool] * 2
    specs = [tf.TensorSpec(*pair) for pair in zip(shapes, kinds, strict=True)]
    graph = tf.function(layer).get_concrete_function(*specs).graph
    made = [t for op in graph.get_operations() for t in op.outputs]
    assert max(t.shape.num_elements() or 0 for t in made) <= 2 * 50 * 8


def test_config_and_bad_arguments():
    layer = SemanticTargetAttention(5, "muse", name="long")
    again = SemanticTargetAttention.from_config(layer.get_config())
    assert (again.units, again.form, again.name) == (5, "muse", "long")
    for arguments in ({"units": 0}, {"form": "twin"}):
        with pytest.raises(TfmmError, match="Received"):
            SemanticTargetAttention(**arguments)


def test_functions_by_hand():
    eye = np.eye(4, dtype="float32")
    scores = dot_scores(2 * eye[None, :1], 3 * eye[None], eye, eye)
    # 2 * 3 / sqrt(4)
    assert ops.convert_to_numpy(scores).tolist() == [[[3, 0, 0, 0]]]
    present = np.array([[[True, True, False, True]]])
    found = semantic_scores(scores, scores * 0.5, present, np.array([1, 2, 4], "f4"))
    # 3 + 2 * 1.5 + 4 * 3 * 1.5
    assert ops.convert_to_numpy(found).tolist() == [[[24, 0, 0, 0]]]
