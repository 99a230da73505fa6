import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.encode import encode_parts

RANDOM = np.random.default_rng(0)
ROWS = tf.constant(RANDOM.integers(0, 20, (37, 5)).astype("int32"))
THERE = tf.constant(RANDOM.random(37) < 0.8)
WEIGHTS = tf.constant(RANDOM.normal(size=(37, 4)).astype("float32"))


def tower(*middle):
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Flatten()(keras.layers.Embedding(20, 6)(inputs))
    x = keras.layers.Dense(8, activation="gelu")(x)
    for layer in middle:
        x = layer(x)
    return keras.Model(inputs, keras.layers.Dense(4)(x))


def with_gradients(model, encode):
    """Vectors, and the gradient of a weighted sum of them."""
    with tf.GradientTape() as tape:
        vectors = encode()
        total = tf.reduce_sum(vectors * WEIGHTS)
    slopes = tape.gradient(total, [v.value for v in model.trainable_variables])
    return [vectors, *(tf.convert_to_tensor(slope) for slope in slopes)]


def parts_in_chunks(model, chunk_size):
    parts = {"query": (ROWS[:20], THERE[:20]), "item": (ROWS[20:], THERE[20:])}
    found = encode_parts(model, parts, chunk_size=chunk_size, training=True)
    return tf.concat([found["query"], found["item"]], axis=0)


def assert_same(results, expected, tolerance=2e-6):
    for actual, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=tolerance, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [7, 16, 64])
def test_chunks_equal_the_whole_in_value_and_gradient(chunk_size):
    model = tower()
    expected = with_gradients(model, lambda: parts_in_chunks(model, None))

    def chunked():
        return with_gradients(model, lambda: parts_in_chunks(model, chunk_size))

    assert_same(chunked(), expected)
    assert_same(tf.function(chunked)(), expected)


def test_dropout_masks_are_those_of_the_way_there():
    model = tower(keras.layers.Dropout(0.5, seed=3))
    (seed,) = model.non_trainable_variables
    start = seed.numpy()

    def by_hand():
        chunks = [model(ROWS[i : i + 7], training=True) for i in range(0, 37, 7)]
        return tf.concat(chunks, axis=0)

    def chunked():
        part = {"item": (ROWS, tf.ones(37, tf.bool))}
        return encode_parts(model, part, chunk_size=7, training=True)["item"]

    expected, end = with_gradients(model, by_hand), seed.numpy()
    for run in (with_gradients, tf.function(with_gradients)):
        seed.assign(start)
        assert_same(run(model, chunked), expected)
        np.testing.assert_array_equal(seed.numpy(), end)


def test_frozen_weights_and_running_statistics():
    model = tower(keras.layers.BatchNormalization(momentum=0.5))
    model.layers[1].trainable = False
    norm = model.layers[-2]
    part = {"item": (ROWS[:32], tf.ones(32, tf.bool))}
    with tf.GradientTape() as tape:
        vectors = encode_parts(model, part, chunk_size=16, training=True)["item"]
        total = tf.reduce_sum(vectors)
    once = norm.moving_mean.numpy()
    table = model.layers[1].embeddings.value
    assert tape.gradient(total, [table]) == [None]
    # The way back encodes again without moving the statistics again.
    np.testing.assert_array_equal(norm.moving_mean.numpy(), once)
    assert np.abs(once).max() > 0


def test_the_graph_does_not_grow_with_the_batch():
    model = tower()

    def nodes(count):
        rows = tf.zeros((count, 5), tf.int32)
        there = tf.ones(count, tf.bool)

        @tf.function
        def encode():
            return encode_parts(model, {"item": (rows, there)}, 4)["item"]

        return len(encode.get_concrete_function().graph.get_operations())

    assert nodes(8) == nodes(400)


def test_floating_rows_and_structures_get_their_gradient():
    rows = tf.constant(RANDOM.normal(size=(9, 4)).astype("float32"))

    def slope(chunk_size):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            part = {"item": ((rows, 2.0 * rows), tf.ones(9, tf.bool))}
            vectors = encode_parts(lambda x: x[0] * x[1], part, chunk_size)["item"]
            total = tf.reduce_sum(vectors)
        return tape.gradient(total, rows)

    np.testing.assert_allclose(slope(4), 4.0 * rows, rtol=1e-6)
    np.testing.assert_allclose(slope(None), 4.0 * rows, rtol=1e-6)


def test_half_precision_towers_give_float32():
    model = tower(keras.layers.Dense(8, dtype="mixed_bfloat16"))
    expected = with_gradients(model, lambda: parts_in_chunks(model, None))
    actual = with_gradients(model, lambda: parts_in_chunks(model, 7))
    assert all(result.dtype == tf.float32 for result in actual)
    assert_same(actual, expected, tolerance=0.2)


def test_no_rows_and_bad_chunks():
    none = {"item": (ROWS[:0], THERE[:0])}
    for chunk_size in (None, 4):
        assert encode_parts(tower(), none, chunk_size)["item"].shape == (0, 4)
    with pytest.raises(TfmmError, match="chunk_size=0"):
        encode_parts(tower(), none, chunk_size=0)
