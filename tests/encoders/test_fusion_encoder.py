"""Fused vectors: in Keras and in the served graph."""

import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfmm
from tfmm.encoders import Encoder, FusionEncoder, save_item_encoder
from tfmm.encoders.titles import SPECIAL
from tfmm.errors import TfmmError


@pytest.fixture(scope="module")
def encoders():
    keras.utils.set_random_seed(0)
    image = tfmm.encoders.image("micro", dimension=6, image_size=16)
    words = [*SPECIAL, "red", "hat"]
    text = tfmm.encoders.text("micro", vocabulary=words, dimension=4, sequence_length=5)
    return image, text, tfmm.encoders.fusion(image, text, dimension=5)


def _parts(rows=3):
    draw = np.random.default_rng(0)
    image, text = draw.normal(size=(rows, 6)), draw.normal(size=(rows, 4))
    return image.astype(np.float32), text.astype(np.float32)


def test_unit_vectors_and_presence(encoders):
    fusion = encoders[2]
    image, text = _parts()
    has_image, has_text = np.array([True, False, True]), np.array([True, True, False])
    vectors = fusion.tower([image, text, has_image, has_text])
    assert (vectors.shape, vectors.dtype) == ((3, 5), tf.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    present = fusion.present([True, False, False], [True, True, False])
    assert present.numpy().tolist() == [True, True, False]
    assert (fusion.modality, fusion.dimension) == ("fused", 5)


def test_what_is_absent_changes_nothing(encoders):
    tower = encoders[2].tower
    image, text = _parts()
    there, none = np.ones(3, bool), np.zeros(3, bool)
    expected = tower([image, text, there, none])
    for other in (text * 9, np.full_like(text, np.nan)):
        np.testing.assert_array_equal(tower([image, other, there, none]), expected)


def test_absent_vectors_are_learned(encoders):
    tower = encoders[2].new_tower()
    image, text = _parts()
    inputs = [image, text, np.ones(3, bool), np.zeros(3, bool)]
    tower.compile(keras.optimizers.Adam(0.1), "mse")
    tower.fit(inputs, np.eye(3, 5), epochs=2, verbose=0)
    assert tower.get_layer("absent_text").get_weights()[0].any()
    assert not tower.get_layer("absent_image").get_weights()[0].any()


def test_save_and_load(encoders, tmp_path):
    fusion = encoders[2]
    fusion.save(tmp_path / "fusion")
    again = Encoder.load(tmp_path / "fusion")
    assert isinstance(again, FusionEncoder)
    inputs = [*_parts(), np.ones(3, bool), np.ones(3, bool)]
    np.testing.assert_array_equal(again.tower(inputs), fusion.tower(inputs))
    assert again.digest == fusion.digest


def test_encoders_that_do_not_go_together(encoders):
    image, text, fusion = encoders
    with pytest.raises(TfmmError, match=r"Expected: `image`.*Received: 'text'"):
        tfmm.encoders.fusion(text, image)
    with pytest.raises(TfmmError, match=r"dimensions \[6, 4\]. Received: \[6, None\]"):
        tfmm.encoders.ItemEncoder(image=image, fusion=fusion)


@pytest.fixture(scope="module")
def folder(encoders, tmp_path_factory):
    image, text, fusion = encoders
    path = tmp_path_factory.mktemp("fused") / "encoder"
    save_item_encoder(path, image=image, text=text, fusion=fusion)
    return path


def _jpeg():
    out = io.BytesIO()
    Image.new("RGB", (9, 5), (200, 30, 40)).save(out, "JPEG")
    return out.getvalue()


def _serve(folder, pictures, titles):
    served = tf.saved_model.load(str(folder)).signatures["encode_item"]
    found = served(
        image_bytes=tf.constant(pictures, tf.string),
        title=tf.constant(titles, tf.string),
    )
    return {name: value.numpy() for name, value in found.items()}


def test_served_equals_keras(encoders, folder):
    image, text, fusion = encoders
    pictures, titles = [_jpeg(), b"", _jpeg(), b"x"], ["red", "hat", "", ""]
    found = _serve(folder, pictures, titles)
    assert found["has_fused"].tolist() == [True, True, True, False]
    parts = [
        image.tower(image.preprocess(tf.constant(pictures))),
        text.tower(text.preprocess(tf.constant(titles))),
    ]
    flags = [tf.constant(found[name]) for name in ("has_image", "has_title")]
    expected = fusion.tower([*parts, *flags]).numpy()
    expected[3] = 0
    np.testing.assert_allclose(found["fused_vector"], expected, atol=1e-5)


def test_empty_batch(folder):
    shapes = {name: value.shape for name, value in _serve(folder, [], []).items()}
    assert shapes == {
        "image_vector": (0, 6),
        "has_image": (0,),
        "text_vector": (0, 4),
        "has_title": (0,),
        "fused_vector": (0, 5),
        "has_fused": (0,),
    }


@pytest.mark.slow
def test_facts_say_what_each_takes(encoders, folder, tmp_path):
    def fused(path):
        facts = json.loads((path / "assets.extra" / "encoder.json").read_text())
        return facts["modalities"]["fused"]

    found = fused(folder)
    assert found["inputs"] == ["image_bytes", "title"]
    assert (found["dimension"], found["vector"]) == (5, "fused_vector")
    # Another picture tower makes other fused vectors.
    image = tfmm.encoders.image("micro", dimension=6, image_size=16)
    text, fusion = encoders[1:]
    save_item_encoder(tmp_path / "other", image=image, text=text, fusion=fusion)
    assert fused(tmp_path / "other")["id"] != found["id"]
