"""Sizes of towers, precision, and vectors that do not depend on the batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmm
from tfmm.encoders import Encoder
from tfmm.encoders.sizes import SIZES
from tfmm.encoders.titles import SPECIAL

VOCABULARY = [*SPECIAL, "red", "blue", "shoe", "hat", "##s"]


INPUTS = {
    "image": np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8),
    "text": np.array([[2, 4, 3, 0, 0, 0], [2, 6, 8, 5, 7, 3]]),
}


def _encoders(size, policy):
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return {
            "image": tfmm.encoders.image(size, dimension=8, image_size=64),
            "text": tfmm.encoders.text(
                size, vocabulary=VOCABULARY, dimension=8, sequence_length=6
            ),
        }
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_sizes_give_float32_unit_vectors(size):
    # The plain policy is in the other tests; large towers take their time here.
    for name, encoder in _encoders(size, "mixed_bfloat16").items():
        tower = encoder.tower
        vectors = tower(INPUTS[name])
        assert tower.layers[-2].compute_dtype == "bfloat16"
        assert vectors.dtype == tf.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("size", ["micro", "tiny", "small"])
def test_precision_is_saved_and_copied(size, policy, tmp_path):
    plain = _encoders(size, "float32")
    for name, encoder in _encoders(size, policy).items():
        encoder.save(tmp_path / name)
        again = Encoder.load(tmp_path / name)
        copy = encoder.new_tower()
        copy.set_weights(encoder.tower.get_weights())
        expected = encoder.tower(INPUTS[name], training=False)
        for tower in (again.tower, copy):
            found = tower(INPUTS[name], training=False)
            np.testing.assert_array_equal(found, expected)
        assert again.digest == encoder.digest
        # The same weights in another precision give other vectors.
        plain[name].tower.set_weights(encoder.tower.get_weights())
        assert plain[name].digest != encoder.digest


@pytest.mark.slow
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
