"""Towers around a person's own Keras models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmm
from tfmm.encoders import ImageEncoder, TextEncoder, Tower
from tfmm.encoders.titles import SPECIAL
from tfmm.errors import TfmmError

VOCABULARY = [*SPECIAL, "red", "blue", "shoe", "hat", "##s"]


def _own(dtype="float32", shape=(16, 16, 3)):
    pixels = keras.Input(shape, dtype=dtype)
    x = keras.ops.cast(pixels, "float32")
    x = keras.layers.Conv2D(4, 3, name="block1_conv")(x)
    return keras.Model(pixels, keras.layers.Conv2D(5, 3, name="block2_conv")(x))


def test_own_picture_model_sees_scaled_pixels(tmp_path):
    pixels = keras.Input((2, 2, 3))
    model = keras.Model(pixels, keras.layers.Flatten()(pixels))
    white = np.full((1, 2, 2, 3), 255, np.uint8)
    for options, expected in (
        ({}, 1.0),  # 255 / 127.5 - 1
        ({"scale": None}, 255.0),
        ({"scale": 1 / 255, "offset": 1.0}, 2.0),
    ):
        tower = tfmm.encoders.image(model=model, dimension=None, **options).tower
        inner = keras.Model(tower.input, tower.layers[-1].input)
        np.testing.assert_allclose(inner(white), np.full((1, 12), expected), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_own_model_of_integers_sees_the_pixels(dtype):
    pixels = keras.Input((2, 2, 3), dtype=dtype)
    flat = keras.layers.Flatten()(keras.ops.cast(pixels, "float32"))
    encoder = tfmm.encoders.image(model=keras.Model(pixels, flat), dimension=None)
    inner = keras.Model(encoder.tower.input, encoder.tower.layers[-1].input)
    white = np.full((1, 2, 2, 3), 255, np.uint8)
    np.testing.assert_array_equal(inner(white), np.full((1, 12), 255.0))


def test_own_picture_model_saves_and_loads(tmp_path):
    encoder = tfmm.encoders.image(model=_own(), dimension=6)
    assert encoder.stages == ["block1", "block2", "projection"]
    encoder.save(tmp_path / "encoder")
    again = ImageEncoder.load(tmp_path / "encoder")
    pixels = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(again.tower(pixels), encoder.tower(pixels))
    assert isinstance(again.tower, Tower)
    assert again.digest == encoder.digest


@keras.saving.register_keras_serializable("tfmm_tests")
class _Forgetful(keras.Model):
    def __init__(self, width):
        super().__init__()
        self.width = width


def test_own_picture_models_that_do_not_fit():
    def pictures(shape):
        return tfmm.encoders.image(model=_own(shape=shape))

    with pytest.raises(TfmmError, match=r"square RGB.*\(None, 16, 8, 3\)"):
        pictures((16, 8, 3))
    with pytest.raises(TfmmError, match=r"square RGB.*\(None, 16, 16, 1\)"):
        pictures((16, 16, 1))
    with pytest.raises(TfmmError, match=r"size open.*Give `image_size`"):
        pictures((None, None, 3))
    with pytest.raises(TfmmError, match=r"Expected: 16. Received: image_size=32"):
        tfmm.encoders.image(model=_own(), image_size=32)
    with pytest.raises(TfmmError, match=r"knows its input.*Sequential"):
        tfmm.encoders.image(model=keras.Sequential([keras.layers.Flatten()]))
    with pytest.raises(TfmmError, match=r"knows its input.*_Forgetful"):
        tfmm.encoders.image(model=_Forgetful(3))
    pixels = keras.Input((16, 16, 3))
    two = keras.Model(pixels, {"a": pixels, "b": pixels})
    with pytest.raises(TfmmError, match=r"Wrap it in a keras.Model of one output"):
        tfmm.encoders.image(model=two)
    with pytest.raises(TfmmError, match="Received: dimension=None"):
        tfmm.encoders.image("micro", dimension=None)


def test_own_model_that_cannot_be_copied():
    class Unregistered(keras.layers.Layer):
        def call(self, x):
            return x

    pixels = keras.Input((16, 16, 3))
    model = keras.Model(pixels, Unregistered()(pixels))
    with pytest.raises(TfmmError, match=r"from_config\(get_config\(\)\)"):
        tfmm.encoders.image(model=model)


def _words_model(rows=9, length=None, rank=3):
    tokens = keras.Input((length,), dtype="int32")
    x = keras.layers.Embedding(rows, 4)(tokens)
    x = x if rank == 3 else keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, x)


@pytest.mark.parametrize("rank", [2, 3])
def test_own_text_model(rank, tmp_path):
    encoder = tfmm.encoders.text(
        model=_words_model(rank=rank),
        vocabulary=VOCABULARY,
        dimension=None,
        sequence_length=6,
    )
    ids, _ = encoder.read(tf.constant(["red", ""]))
    table = encoder.tower.get_weights()[0]
    # [CLS] red [SEP] and three fills: a sequence is averaged without the fills.
    rows = [2, 4, 3] if rank == 3 else [2, 4, 3, 0, 0, 0]
    expected = table[rows].mean(0)
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(encoder.tower(ids)[0], expected, atol=1e-6)
    encoder.save(tmp_path / "encoder")
    again = TextEncoder.load(tmp_path / "encoder")
    np.testing.assert_array_equal(again.tower(ids), encoder.tower(ids))


def test_own_text_models_that_do_not_fit():
    def titles(model, **options):
        return tfmm.encoders.text(model=model, vocabulary=VOCABULARY, **options)

    with pytest.raises(TfmmError, match=r"Expected: at least 9 rows.*\[8\]"):
        titles(_words_model(rows=8))
    with pytest.raises(TfmmError, match=r"takes titles of 7 tokens.*=24"):
        titles(_words_model(length=7))
    with pytest.raises(TfmmError, match=r"A text backbone takes token ids"):
        titles(_own())
    x = keras.Input((None,), dtype="int32")
    with pytest.raises(TfmmError, match=r"A text backbone takes token ids"):
        titles(keras.Model({"words": x}, keras.layers.Embedding(9, 4)(x)))
