import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.layers import Embedding


def _numbered():
    layer = Embedding(4, 2, name="ids")
    layer.build()
    layer.table.assign(np.arange(8).reshape(4, 2))
    return layer


def test_rows_by_code_and_zeros_for_code_0():
    # The table's row 0 holds [0, 1], which is never seen.
    expected = [[[0, 0], [6, 7]], [[2, 3], [0, 0]]]
    found = _numbered()(np.array([[0, 3], [1, 0]]))
    np.testing.assert_array_equal(found, expected)


def test_code_0_has_no_gradient_and_others_have_rows():
    layer = _numbered()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(tf.constant([0, 2, 2])))
    gradient = tape.gradient(total, layer.table.value)
    assert isinstance(gradient, tf.IndexedSlices)
    expected = [[0, 0], [0, 0], [2, 2], [0, 0]]
    np.testing.assert_array_equal(tf.convert_to_tensor(gradient), expected)


def test_mixed_precision_casts_rows_not_the_table():
    layer = Embedding(4, 2, dtype="mixed_bfloat16")
    assert layer(np.array([1])).dtype == tf.bfloat16
    assert layer.table.dtype == "float32"


def test_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input([3], dtype="int32"), _numbered()])
    model.save(tmp_path / "table.keras")
    loaded = keras.saving.load_model(tmp_path / "table.keras")
    ids = np.array([[3, 0, 1]])
    np.testing.assert_array_equal(loaded(ids), model(ids))
    assert loaded.layers[0].get_config() == model.layers[0].get_config()


@pytest.mark.parametrize("sizes", [(0, 2), (3, 0)])
def test_empty_tables_are_refused(sizes):
    with pytest.raises(TfmmError, match=f"Received: rows={sizes[0]}, dim"):
        Embedding(*sizes)
