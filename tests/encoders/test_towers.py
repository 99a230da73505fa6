"""Towers around keras-hub backbones, keras-cv's, and a person's own models."""

import importlib.util

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

import tfmm
from tfmm.encoders import Encoder, ImageEncoder, TextEncoder, Tower
from tfmm.encoders.sizes import SIZES
from tfmm.encoders.titles import SPECIAL
from tfmm.errors import TfmmError

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
