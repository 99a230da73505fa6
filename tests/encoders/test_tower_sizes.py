"""Sizes of towers, precision, and vectors that do not depend on the batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmm
from tfmm.encoders.sizes import SIZES
from tfmm.encoders.titles import SPECIAL

VOCABULARY = [*SPECIAL, "red", "blue", "shoe", "hat", "##s"]


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_sizes_give_float32_unit_vectors(size):
    # The plain policy is in the other tests; large towers take their time here.
    policy = "mixed_bfloat16"
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        towers = {
            "image": tfmm.encoders.image(size, dimension=8, image_size=64).tower,
            "text": tfmm.encoders.text(
                size, vocabulary=VOCABULARY, dimension=8, sequence_length=6
            ).tower,
        }
    finally:
        keras.config.set_dtype_policy(before)
    draw = np.random.default_rng(0)
    inputs = {
        "image": draw.integers(0, 255, (2, 64, 64, 3), np.uint8),
        "text": np.array([[2, 4, 3, 0, 0, 0], [2, 6, 8, 5, 7, 3]]),
    }
    for name, tower in towers.items():
        vectors = tower(inputs[name])
        assert tower.layers[-2].compute_dtype == "bfloat16"
        assert vectors.dtype == tf.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("size", ["micro", "tiny"])
def test_a_batch_of_one_equals_a_batch_of_64(size):
    keras.utils.set_random_seed(0)
    encoder = tfmm.encoders.image(size, dimension=16, image_size=32)
    words = tfmm.encoders.text(
        size, vocabulary=VOCABULARY, dimension=16, sequence_length=6
    )
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 255, (64, 32, 32, 3), np.uint8)
    ids = draw.integers(4, 9, (64, 6))
    for tower, rows in ((encoder.tower, pixels), (words.tower, ids)):
        together = keras.ops.convert_to_numpy(tower(rows, training=False))
        alone = [np.array(tower(rows[i : i + 1], training=False)[0]) for i in range(64)]
        np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)
        backwards = keras.ops.convert_to_numpy(tower(rows[::-1], training=False))
        np.testing.assert_allclose(together, backwards[::-1], atol=1e-5)
