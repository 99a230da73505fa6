"""Encoders: shapes, save and load, presets."""

import keras
import keras_hub
import numpy as np
import pytest
import small_backbones as small
import tensorflow as tf

import tfmm
from tfmm.encoders import Encoder, ImageEncoder, TextEncoder
from tfmm.encoders.layers import MaskedMean, TokenFeatures
from tfmm.encoders.sizes import SIZES
from tfmm.encoders.titles import SPECIAL
from tfmm.errors import TfmmError

VOCABULARY = [*SPECIAL, "red", "blue", "shoe", "hat", "##s"]
TITLES = ["red shoes", "", "blue hat", "日本語"]


@pytest.fixture(scope="module")
def image():
    keras.utils.set_random_seed(0)
    return tfmm.encoders.image("micro", dimension=8, image_size=32)


@pytest.fixture(scope="module")
def text():
    keras.utils.set_random_seed(0)
    return tfmm.encoders.text(
        "micro", vocabulary=VOCABULARY, dimension=8, sequence_length=6
    )


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), np.uint8)


def _backbone(encoder):
    return next(x for x in encoder.tower.layers if isinstance(x, keras.Model))


def test_towers_give_unit_vectors(image, text, pixels):
    for vectors in (image.tower(pixels), text.tower(text.preprocess(TITLES))):
        assert vectors.shape[1] == 8
        assert vectors.dtype == tf.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert (image.modality, image.dimension, image.image_size) == ("image", 8, 32)
    assert (text.modality, text.dimension, text.sequence_length) == ("text", 8, 6)


def test_preprocess_gives_the_towers_input(image, text):
    png = tf.io.encode_png(tf.zeros([4, 4, 3], tf.uint8))
    read = image.preprocess(tf.stack([png, b""]))
    assert (read.shape, read.dtype) == ((2, 32, 32, 3), tf.uint8)
    ids = text.preprocess(tf.constant(TITLES))
    assert (ids.shape, ids.dtype) == ((4, 6), tf.int32)


def test_padding_changes_no_vector(text):
    ids = np.array([[2, 4, 6, 3, 0, 0]])
    # The same backbone and projection over T = 4: no padding at all.
    short = tfmm.encoders.text_tower(_backbone(text), 8, 4)
    weights = text.tower.get_layer("projection").get_weights()
    short.get_layer("projection").set_weights(weights)
    np.testing.assert_allclose(text.tower(ids), short(ids[:, :4]), atol=1e-6)


def test_save_and_load_give_the_same_numbers(image, text, pixels, tmp_path):
    image.save(tmp_path / "image")
    text.save(tmp_path / "text")
    image_again = ImageEncoder.load(tmp_path / "image")
    text_again = Encoder.load(tmp_path / "text")
    assert isinstance(text_again, TextEncoder)
    np.testing.assert_array_equal(image_again.tower(pixels), image.tower(pixels))
    ids = text.preprocess(tf.constant(TITLES))
    np.testing.assert_array_equal(text_again.preprocess(tf.constant(TITLES)), ids)
    np.testing.assert_array_equal(text_again.tower(ids), text.tower(ids))
    assert image_again.digest == image.digest
    assert text_again.digest == text.digest
    with pytest.raises(TfmmError, match=r"Expected: text. Received: image"):
        TextEncoder.load(tmp_path / "image")
    (tmp_path / "image" / "manifest.json").unlink()
    with pytest.raises(TfmmError, match=r"not a finished output"):
        ImageEncoder.load(tmp_path / "image")


def test_saving_a_compiled_tower_stores_no_optimizer(image, pixels, tmp_path):
    tower = image.new_tower()
    tower.compile("adam", "mse")
    tower.fit(pixels, np.eye(5, 8), epochs=1, verbose=0)
    trained = ImageEncoder(tower)
    trained.save(tmp_path / "image")
    again = ImageEncoder.load(tmp_path / "image")
    np.testing.assert_array_equal(again.tower(pixels), tower(pixels))
    assert getattr(again.tower, "optimizer", None) is None


def test_digest_follows_weights_vocabulary_and_preprocessing(image, text):
    tower = image.new_tower()
    tower.set_weights(image.tower.get_weights())
    assert ImageEncoder(tower).digest == image.digest
    assert ImageEncoder(tower, max_pixels=9).digest != image.digest
    tower.set_weights([w + 1e-3 for w in tower.get_weights()])
    assert ImageEncoder(tower).digest != image.digest
    words = tfmm.encoders.WordPieces([*VOCABULARY[:-1], "##x"], 6)
    assert TextEncoder(text.tower, words).digest != text.digest


def test_new_tower_has_the_same_shape_and_other_weights(image, text):
    for encoder in (image, text):
        new, old = encoder.new_tower(), encoder.tower
        assert [w.shape for w in new.weights] == [w.shape for w in old.weights]
        assert not np.allclose(new.weights[0], old.weights[0])


@pytest.mark.slow
def test_towers_learn(text):
    keras.utils.set_random_seed(0)
    tower = text.new_tower()
    ids = text.preprocess(tf.constant(["red shoe", "blue hat"])).numpy()
    tower.compile(keras.optimizers.Adam(1e-2), "cosine_similarity")
    history = tower.fit(ids, np.eye(2, 8), epochs=15, verbose=0).history["loss"]
    assert history[-1] < min(-0.5, history[0] - 0.3)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_valid(size):
    measures = SIZES[size]
    assert measures.hidden_dim % measures.num_heads == 0


def test_a_transformer_of_the_next_size():
    tower = tfmm.encoders.image("tiny", dimension=8, image_size=32).tower
    assert tower(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 8)


def test_taught_errors():
    with pytest.raises(TfmmError, match=r"no size 'huge'.*micro, tiny, small, base"):
        tfmm.encoders.image("huge")
    with pytest.raises(TfmmError, match=r"multiple of .*Received: 50. Use"):
        tfmm.encoders.image("tiny", image_size=50)
    with pytest.raises(TfmmError, match=r"at least 16.*Received: 8"):
        tfmm.encoders.image("micro", image_size=8)
    with pytest.raises(TfmmError, match="Received: neither"):
        tfmm.encoders.text("micro")
    with pytest.raises(TfmmError, match="Received: both"):
        tfmm.encoders.text("micro", titles=["a"], vocabulary=VOCABULARY)


def test_vocabulary_file(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    encoder = tfmm.encoders.text("micro", vocabulary=path, dimension=8)
    assert encoder.tokens.vocabulary == VOCABULARY


def test_image_from_preset_folder(pixels, tmp_path):
    backbone = small.vit()
    backbone.save_to_preset(str(tmp_path / "preset"))
    encoder = tfmm.encoders.image_from_preset(tmp_path / "preset", dimension=16)
    assert encoder.tower(pixels).shape == (5, 16)
    # Same backbone, same pooling, same scaling: the pooled features must agree.
    tower = tfmm.encoders.image_tower(backbone, 8)
    ours = keras.Model(tower.input, tower.get_layer("pooling").output)
    theirs = keras.Model(encoder.tower.input, encoder.tower.get_layer("pooling").output)
    np.testing.assert_allclose(ours(pixels), theirs(pixels), atol=1e-6)
    encoder.save(tmp_path / "encoder")
    again = ImageEncoder.load(tmp_path / "encoder")
    np.testing.assert_array_equal(again.tower(pixels), encoder.tower(pixels))


def test_image_preset_brings_its_scaling(pixels, tmp_path):
    folder = str(tmp_path / "preset")
    small.vit().save_to_preset(folder)
    keras_hub.layers.ImageConverter(
        image_size=(32, 32), scale=[0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0]
    ).save_to_preset(folder)
    tower = tfmm.encoders.image_from_preset(folder, dimension=8).tower
    scaled = keras.Model(tower.input, tower.get_layer("rescaling").output)(pixels)
    expected = pixels * np.array([0.1, 0.2, 0.3]) + np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(scaled, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("converted", "asked", "side"),
    [(None, None, 64), ((48, 48), None, 48), ((48, 32), None, 64), ((48, 48), 32, 32)],
)
def test_size_of_pictures_where_the_preset_leaves_it_open(
    converted, asked, side, tmp_path
):
    folder = str(tmp_path / "preset")
    small.resnet().save_to_preset(folder)
    if converted:
        converter = keras_hub.layers.ImageConverter(image_size=converted)
        converter.save_to_preset(folder)
    encoder = tfmm.encoders.image_from_preset(folder, dimension=4, image_size=asked)
    assert encoder.image_size == side


def test_text_from_preset_folder(tmp_path):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "shoe", "##s"]
    folder = str(tmp_path / "preset")
    keras_hub.models.BertBackbone(
        vocabulary_size=8,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
    ).save_to_preset(folder)
    keras_hub.models.BertTokenizer(vocabulary, lowercase=True).save_to_preset(folder)
    encoder = tfmm.encoders.text_from_preset(folder, dimension=4, sequence_length=6)
    ids, present = encoder.read(tf.constant(["Red shoes", ""]))
    assert ids.numpy().tolist() == [[2, 5, 6, 7, 3, 0], [2, 3, 0, 0, 0, 0]]
    assert present.numpy().tolist() == [True, False]
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    np.testing.assert_array_equal(again.preprocess(tf.constant(["Red shoes", ""])), ids)
    np.testing.assert_array_equal(again.tower(ids), encoder.tower(ids))
    assert again.digest == encoder.digest


def test_missing_preset(tmp_path):
    with pytest.raises(TfmmError, match="cannot be opened as a Backbone"):
        tfmm.encoders.image_from_preset(tmp_path / "nowhere")


def test_text_layers():
    features = TokenFeatures(pad_id=1, keys=("token_ids", "padding_mask"))
    found = features(np.array([[5, 0, 1]]))
    assert sorted(found) == ["padding_mask", "token_ids"]
    assert np.array(found["padding_mask"]).tolist() == [[1, 1, 0]]
    mean = MaskedMean()
    x = np.array([[[1.0], [3.0], [np.nan]], [[5.0], [6.0], [7.0]]])
    # Row 0: (1 + 3) / 2 = 2, whatever is masked; row 1 has no position: 0.
    result = np.array(mean(x, np.array([[1, 1, 0], [0, 0, 0]])))
    assert result.tolist() == [[2.0], [0.0]]
