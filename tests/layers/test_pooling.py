import keras
import numpy as np
import pytest
from gradients import numeric_gradients, tensorflow_gradients
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers import MaskedPooling

MODES = ["mean", "sum", "max", "sqrtn"]


def _inputs():
    """Four, two and no valid positions."""
    values = np.random.default_rng(0).normal(size=[3, 4, 5]).astype("float32")
    mask = np.array([[True] * 4, [True, False, True, False], [False] * 4])
    return values, mask


def _plain(mode, values, mask):
    result = np.zeros([len(values), values.shape[2]])
    for b in range(len(values)):
        rows = values[b][mask[b]]
        if len(rows):
            divisor = {"mean": len(rows), "sqrtn": np.sqrt(len(rows))}.get(mode, 1)
            result[b] = rows.max(0) if mode == "max" else rows.sum(0) / divisor
    return result


@pytest.mark.parametrize(
    ("mode", "expected"),
    # -1, -2, -3, -6 are valid: sum -12, n = 4
    [("mean", -3.0), ("sum", -12.0), ("max", -1.0), ("sqrtn", -6.0)],
)
def test_by_hand(mode, expected):
    values = -np.array([[[1], [9], [2], [3], [6]]], "float32")
    mask = np.array([[True, False, True, True, True]])
    found = ops.convert_to_numpy(MaskedPooling(mode)(values, mask))
    assert found.tolist() == [[expected]]


@pytest.mark.parametrize("mode", MODES)
def test_equals_the_plain_version_and_its_gradients(mode):
    values, mask = _inputs()
    layer = MaskedPooling(mode)
    found = ops.convert_to_numpy(layer(values, mask))
    np.testing.assert_allclose(found, _plain(mode, values, mask), atol=1e-6)
    assert not found[2].any()
    scale = np.random.default_rng(1).normal(size=[3, 5]).astype("float32")
    (actual,) = tensorflow_gradients(lambda x: layer(x, mask) * scale, [values])
    (exact,) = numeric_gradients(
        lambda x: (_plain(mode, x, mask) * scale).sum(), [values]
    )
    np.testing.assert_allclose(actual, exact, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_padding_and_batch_order_never_matter(mode):
    values, mask = _inputs()
    layer = MaskedPooling(mode)
    expected = ops.convert_to_numpy(layer(values, mask))
    dirty = np.where(mask[..., None], values, np.nan).astype("float32")
    found = ops.convert_to_numpy(layer(dirty, mask))
    np.testing.assert_array_equal(found, expected)
    (gradient,) = tensorflow_gradients(lambda x: layer(x, mask), [dirty])
    assert np.isfinite(gradient).all() and not gradient[~mask].any()
    wide = np.concatenate([values, values], 1), np.concatenate([mask, mask & False], 1)
    found = ops.convert_to_numpy(layer(*wide))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    found = ops.convert_to_numpy(layer(values[::-1], mask[::-1]))
    np.testing.assert_allclose(found, expected[::-1], atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_saves_loads_and_takes_mixed_precision(mode, tmp_path):
    inputs = keras.Input((None, 5)), keras.Input((None,), dtype="bool")
    model = keras.Model(inputs, MaskedPooling(mode)(*inputs))
    assert model.output_shape == (None, 5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict(_inputs())
    np.testing.assert_array_equal(loaded.predict(_inputs()), expected)
    found = MaskedPooling(mode, dtype="mixed_bfloat16")(*_inputs())
    assert found.dtype == "bfloat16"
    found = ops.convert_to_numpy(ops.cast(found, "float32"))
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_config_and_bad_arguments():
    config = MaskedPooling("sqrtn").get_config()
    assert MaskedPooling.from_config(config).mode == "sqrtn"
    with pytest.raises(TfmmError, match="Received: mode='median'"):
        MaskedPooling("median")
