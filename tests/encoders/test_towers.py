"""Towers around keras-hub's and keras-cv's backbones."""

import importlib.util

import keras
import keras_hub
import numpy as np
import pytest
import small_backbones as small
import tensorflow as tf

import tfmm
from tfmm.encoders import Encoder
from tfmm.encoders.titles import SPECIAL
from tfmm.errors import TfmmError

VOCABULARY = [*SPECIAL, "red", "blue", "shoe", "hat", "##s"]
MODELS = keras_hub.models


PICTURE_BACKBONES = {
    "vit": (small.vit, None, 8, "transformer_block_1"),
    "clip": (small.clip, None, 4, "encoder_block_0"),
    "siglip": (small.siglip, None, 8, "encoder_block_0"),
    "resnet": (small.resnet, 32, 64, "stack0"),
    "efficientnet": (small.efficientnet, 32, 1280, "block1"),
    "mobilenet": (small.mobilenet, 32, 32, "block_0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURE_BACKBONES)
def test_picture_presets(name, tmp_path):
    make, side, own, stage = PICTURE_BACKBONES[name]
    keras.utils.set_random_seed(0)
    make().save_to_preset(str(tmp_path / "preset"))
    encoder = tfmm.encoders.image_from_preset(
        tmp_path / "preset", dimension=6, image_size=side
    )
    pixels = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8)
    vectors = encoder.tower(pixels)
    assert (vectors.shape, vectors.dtype) == ((3, 6), tf.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert stage in encoder.stages
    assert encoder.stages[-1] == "projection"
    encoder.freeze(upto=stage)
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    np.testing.assert_array_equal(again.tower(pixels), vectors)
    assert (again.digest, again.frozen) == (encoder.digest, stage)
    copy = again.new_tower()
    assert len(copy.trainable_variables) == len(encoder.tower.trainable_variables)
    assert len(copy.trainable_variables) < len(copy.variables)
    bare = tfmm.encoders.image_from_preset(
        tmp_path / "preset", dimension=None, image_size=side
    )
    assert bare.dimension == own


def _text_backbone(kind, **options):
    options = {"vocabulary_size": 8, "num_layers": 2, "num_heads": 2, **options}
    return kind(hidden_dim=8, intermediate_dim=16, max_sequence_length=16, **options)


BERTS = {
    "bert": (MODELS.BertBackbone, MODELS.BertTokenizer, {}),
    "distil": (MODELS.DistilBertBackbone, MODELS.DistilBertTokenizer, {}),
}


@pytest.mark.parametrize("name", BERTS)
def test_text_presets(name, tmp_path):
    kind, tokenizer, options = BERTS[name]
    keras.utils.set_random_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "shoe", "##s"]
    _text_backbone(kind, **options).save_to_preset(str(tmp_path / "preset"))
    tokenizer(words, lowercase=True).save_to_preset(str(tmp_path / "preset"))
    encoder = tfmm.encoders.text_from_preset(
        tmp_path / "preset", dimension=4, sequence_length=8
    )
    ids, _ = encoder.read(tf.constant(["Red shoes", ""]))
    assert ids[0, :5].numpy().tolist() == [2, 5, 6, 7, 3]
    vectors = encoder.tower(ids)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    # "red shoe ##s zzz" has four tokens, one of them unknown.
    assert encoder.unknown_share(["red shoes zzz"]) == 0.25
    encoder.freeze_backbone()
    assert [v.path.split("/")[0] for v in encoder.tower.trainable_variables] == [
        "projection",
        "projection",
    ]
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    np.testing.assert_array_equal(again.tower(ids), vectors)
    assert len(again.tower.trainable_variables) == 2


@pytest.mark.parametrize("make", [small.clip, small.siglip])
def test_text_halves(make):
    keras.utils.set_random_seed(0)
    backbone = make()
    half = tfmm.encoders.presets.text_half(backbone)
    tower = tfmm.encoders.text_tower(half, None, 12, pad_id=1)
    ids = np.ones((2, 12), int)  # SigLIP takes full length only.
    ids[:, :4] = [[2, 5, 7, 11], [2, 6, 11, 1]]
    expected = keras.ops.convert_to_numpy(backbone.get_text_embeddings(ids))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(tower(ids), expected, atol=1e-6)
    again = tower.__class__.from_config(tower.get_config())
    again.set_weights(tower.get_weights())
    np.testing.assert_allclose(again(ids), expected, atol=1e-6)


def _electra():
    return MODELS.ElectraBackbone(8, 1, 2, 8, 8, 16, max_sequence_length=12)


def _text_half(make):
    return tfmm.encoders.presets.text_half(make())


@pytest.mark.parametrize(
    ("make", "length", "limit"),
    [
        (small.clip, 13, "at most 12 tokens"),
        (_electra, 13, "at most 12 tokens"),
        (small.siglip, 13, "at most 12 tokens"),
        (small.siglip, 11, "exactly 12 tokens"),
    ],
)
def test_titles_of_a_length_that_a_model_cannot_read(make, length, limit):
    with pytest.raises(TfmmError, match=rf"{limit}.*sequence_length={length}"):
        tfmm.encoders.text_tower(_text_half(make), 4, length, pad_id=1)
    tfmm.encoders.text_tower(_text_half(make), 4, 12, pad_id=1)


def test_an_own_model_without_positions_for_a_title():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(300, 4)(tokens)
    model = keras.Model(tokens, keras_hub.layers.PositionEmbedding(5)(x))
    with pytest.raises(TfmmError, match=r"at most 5 tokens.*sequence_length=6"):
        tfmm.encoders.text(
            model=model, vocabulary=VOCABULARY, dimension=4, sequence_length=6
        )


def test_siglip_titles_have_its_own_length():
    assert tfmm.encoders.presets.own_length(small.siglip()) == 12
    assert tfmm.encoders.presets.own_length(small.clip()) is None


@pytest.mark.skipif(
    importlib.util.find_spec("keras_cv") is None, reason="keras-cv is not installed"
)
def test_a_keras_cv_backbone(tmp_path):
    import keras_cv

    keras.utils.set_random_seed(0)
    # The generic class: aliases such as CSPDarkNetTinyBackbone ask the network.
    backbone = keras_cv.models.CSPDarkNetBackbone(
        stackwise_channels=[8, 16],
        stackwise_depth=[1, 1],
        include_rescaling=False,
        input_shape=(32, 32, 3),
    )
    encoder = tfmm.encoders.image(model=backbone, dimension=4)
    pixels = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8)
    vectors = encoder.tower(pixels, training=False)
    assert vectors.shape == (2, 4)
    encoder.freeze_backbone()
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    np.testing.assert_array_equal(again.tower(pixels, training=False), vectors)
    assert (again.digest, again.frozen) == (encoder.digest, encoder.frozen)
