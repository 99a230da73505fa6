"""Towers around keras-hub's and keras-cv's backbones."""

import importlib.util

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

import tfmm
from tfmm.encoders import Encoder
from tfmm.encoders.titles import SPECIAL

VOCABULARY = [*SPECIAL, "red", "blue", "shoe", "hat", "##s"]
MODELS = keras_hub.models


VISION = {
    "patch_size": 16,
    "hidden_dim": 8,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_dim": 16,
    "image_shape": (32, 32, 3),
}


WORDS = {
    "vocabulary_size": 12,
    "embedding_dim": 8,
    "hidden_dim": 8,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_dim": 16,
    "max_sequence_length": 12,
}


def _clip():
    from keras_hub.src.models.clip.clip_text_encoder import CLIPTextEncoder
    from keras_hub.src.models.clip.clip_vision_encoder import CLIPVisionEncoder

    return MODELS.CLIPBackbone(CLIPVisionEncoder(**VISION), CLIPTextEncoder(**WORDS), 4)


def _siglip():
    from keras_hub.src.models.siglip.siglip_text_encoder import SigLIPTextEncoder
    from keras_hub.src.models.siglip.siglip_vision_encoder import SigLIPVisionEncoder

    return MODELS.SigLIPBackbone(
        SigLIPVisionEncoder(**VISION), SigLIPTextEncoder(**WORDS)
    )


def _vit():
    return MODELS.ViTBackbone(
        image_shape=(32, 32, 3),
        patch_size=16,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=16,
    )


def _resnet():
    return MODELS.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )


def _efficientnet():
    return MODELS.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 2,
        stackwise_depth_coefficients=[1.0] * 2,
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 1],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_expansion_ratios=[1, 2],
        stackwise_strides=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_block_types=["v1", "v1"],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
    )


def _mobilenet():
    return MODELS.MobileNetBackbone(
        stackwise_expansion=[[8], [16]],
        stackwise_num_blocks=[1, 1],
        stackwise_num_filters=[[8], [16]],
        stackwise_kernel_size=[[3], [3]],
        stackwise_num_strides=[[2], [2]],
        stackwise_se_ratio=[[None], [0.25]],
        stackwise_activation=[["relu"], ["hard_swish"]],
        stackwise_padding=[[1], [1]],
        output_num_filters=32,
        input_num_filters=8,
        input_activation="hard_swish",
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=32,
    )


PICTURE_BACKBONES = {
    "vit": (_vit, None, 8, "transformer_block_1"),
    "clip": (_clip, None, 4, "clip_vision_encoder_encoder_block_0"),
    "siglip": (_siglip, None, 8, "sig_lip_vision_encoder_encoder_block_0"),
    "resnet": (_resnet, 32, 64, "stack0"),
    "efficientnet": (_efficientnet, 32, 1280, "block1"),
    "mobilenet": (_mobilenet, 32, 32, "block_0"),
}


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


@pytest.mark.parametrize("make", [_clip, _siglip])
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


def test_siglip_titles_have_its_own_length():
    assert tfmm.encoders.presets.own_length(_siglip()) == 12
    assert tfmm.encoders.presets.own_length(_clip()) is None


@pytest.mark.skipif(
    importlib.util.find_spec("keras_cv") is None, reason="keras-cv is not installed"
)
def test_a_keras_cv_backbone():
    import keras_cv

    # The generic class: aliases such as CSPDarkNetTinyBackbone ask the network.
    backbone = keras_cv.models.CSPDarkNetBackbone(
        stackwise_channels=[8, 16],
        stackwise_depth=[1, 1],
        include_rescaling=False,
        input_shape=(32, 32, 3),
    )
    encoder = tfmm.encoders.image(model=backbone, dimension=4)
    assert encoder.tower(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 4)
