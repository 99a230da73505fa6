import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers import Embedding, FrozenVectors, gather_rows, unit_vectors


@pytest.mark.parametrize("dtype", ["int8", "int32", "bool", "float32"])
def test_rows_of_every_dtype(dtype):
    values = np.array([[0, 0], [1, 0], [1, 1]]).astype(dtype)
    table = keras.Variable(values, dtype=dtype, autocast=False, trainable=False)
    rows = ops.convert_to_numpy(gather_rows(table, np.array([[2, 0]])))
    assert rows.dtype == values.dtype
    assert rows.tolist() == [[values[2].tolist(), values[0].tolist()]]


def test_tensorflow_gathers_from_the_resource():
    table = keras.Variable(np.ones([3, 2], "float32"), autocast=False)

    @tf.function
    def read(ids):
        return gather_rows(table, ids)

    graph = read.get_concrete_function(tf.TensorSpec([None], tf.int32)).graph
    kinds = {op.type for op in graph.get_operations()}
    assert "ResourceGather" in kinds
    assert "ReadVariableOp" not in kinds


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_embedding_gradient_is_sparse_and_row_0_stays_zero(policy):
    layer = Embedding(5, 2, dtype=policy)
    with tf.GradientTape() as tape:
        rows = layer(np.array([[0, 3, 3]]))
        loss = tf.reduce_sum(tf.cast(rows, tf.float32))
    gradient = tape.gradient(loss, layer.trainable_variables[0].value)
    assert isinstance(gradient, tf.IndexedSlices)
    assert ops.convert_to_numpy(ops.cast(rows, "float32"))[0, 0].tolist() == [0, 0]
    dense = tf.convert_to_tensor(gradient).numpy()
    assert dense.tolist() == [[0, 0], [0, 0], [0, 0], [2, 2], [0, 0]]
    assert rows.dtype == layer.compute_dtype


def test_embedding_config_and_errors():
    layer = Embedding.from_config(Embedding(5, 2, "zeros").get_config())
    assert layer(np.array([1])).shape == (1, 2)
    with pytest.raises(TfmmError, match="Received: rows=0"):
        Embedding(0, 2)


def test_frozen_vectors_hold_and_refuse():
    vectors = FrozenVectors(3, 2)
    codes = np.array([[0, 0], [0, 0], [3, 4]], "int8")
    vectors.assign(codes, np.array([0, 0, 0.2], "float32"), codes.any(1))
    assert vectors.trainable_variables == []
    rows = vectors(np.array([2, 1]))
    assert ops.convert_to_numpy(rows.present).tolist() == [True, False]
    # [3, 4] / 5
    unit = ops.convert_to_numpy(unit_vectors(rows))
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0]], atol=1e-6)
    with pytest.raises(TfmmError, match="do not fit"):
        vectors.assign(codes[:2], np.zeros(2, "float32"), np.zeros(2, bool))
