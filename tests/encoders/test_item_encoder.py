"""The served encoder: equal to Keras, whatever the batch."""

import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

import tfmm
from tfmm.encoders import Encoder, ItemEncoder, save_item_encoder
from tfmm.encoders.titles import SPECIAL
from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest

TEXT_OPS_OF_2_12 = {
    "CaseFoldUTF8",
    "NormalizeUTF8",
    "RegexSplitWithOffsets",
    "FastWordpieceTokenizeWithOffsets",
}
TITLES = ["Red shoes", "", "Café 日本", b"\xff", "blue " * 40]


def _picture(seed, mode="RGB", kind="JPEG"):
    draw = np.random.default_rng(seed)
    sides = draw.integers(5, 90, 2)
    pixels = draw.integers(0, 255, (*sides, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind)
    return out.getvalue()


PICTURES = [
    _picture(0),
    b"",
    _picture(1, "L"),
    _picture(2, "CMYK"),
    _picture(3, "RGBA", "PNG")[:90],
]


@pytest.fixture(scope="module")
def encoders():
    keras.utils.set_random_seed(0)
    vocabulary = [*SPECIAL, "red", "blue", "shoe", "##s", "c", "##a", "##f", "##e"]
    return {
        "image": tfmm.encoders.image("micro", dimension=8, image_size=32),
        "text": tfmm.encoders.text(
            "micro", vocabulary=vocabulary, dimension=8, sequence_length=8
        ),
    }


@pytest.fixture(scope="module")
def folder(encoders, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "item_encoder"
    save_item_encoder(path, **encoders)
    return path


@pytest.fixture(scope="module")
def served(folder):
    return tf.saved_model.load(str(folder))


def _encode(served, pictures, titles, signature="encode_item"):
    found = served.signatures[signature](
        image_bytes=tf.constant(pictures, tf.string), title=tf.constant(titles)
    )
    return {name: value.numpy() for name, value in found.items()}


def test_served_equals_keras(encoders, served):
    found = _encode(served, PICTURES, TITLES)
    assert found["has_image"].tolist() == [True, False, True, True, False]
    assert found["has_title"].tolist() == [True, False, True, True, True]
    for modality, raw, flag in (
        ("image", PICTURES, "has_image"),
        ("text", TITLES, "has_title"),
    ):
        encoder = encoders[modality]
        expected = encoder.tower(encoder.preprocess(tf.constant(raw))).numpy()
        expected[~found[flag]] = 0
        np.testing.assert_allclose(found[f"{modality}_vector"], expected, atol=1e-5)
        assert found[f"{modality}_vector"].dtype == np.float32


def test_served_preprocessing_equals_tf_data(encoders, served):
    found = _encode(served, PICTURES, TITLES)
    data = tf.data.Dataset.from_tensor_slices((PICTURES, TITLES)).batch(2)
    image, text = encoders["image"], encoders["text"]
    data = data.map(lambda p, t: (image.preprocess(p), text.preprocess(t)))
    pixels, ids = (np.concatenate(part) for part in zip(*data, strict=True))
    for vectors, flag, expected in (
        (found["image_vector"], found["has_image"], image.tower(pixels).numpy()),
        (found["text_vector"], found["has_title"], text.tower(ids).numpy()),
    ):
        np.testing.assert_allclose(vectors[flag], expected[flag], atol=1e-5)


def test_a_batch_of_one_equals_a_batch_of_64(served):
    pictures = [_picture(seed) for seed in range(62)] + [b"", b"broken"]
    titles = [f"red shoe {number}" for number in range(63)] + [""]
    together = _encode(served, pictures, titles)
    for place in (0, 17, 61, 62, 63):
        alone = _encode(served, [pictures[place]], [titles[place]])
        for name, value in alone.items():
            np.testing.assert_allclose(value[0], together[name][place], atol=1e-5)


def test_default_signature_is_the_same(served):
    expected = _encode(served, PICTURES, TITLES)
    found = _encode(served, PICTURES, TITLES, "serving_default")
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_only_core_and_old_text_operations(folder):
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    own = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    names = {node.op for node in nodes} - own
    core = {name for name in names if hasattr(tf.raw_ops, name)}
    assert names - core <= TEXT_OPS_OF_2_12
    assert not names & {"PyFunc", "EagerPyFunc", "PyFuncStateless"}


def test_every_weight_is_stored_once(folder, encoders):
    weights = sum(w.nbytes for e in encoders.values() for w in e.tower.get_weights())
    stored = sum(f.stat().st_size for f in (folder / "variables").glob("*.data-*"))
    assert stored < 1.1 * weights + 20_000


def test_facts_name_the_encoders(folder, encoders, tmp_path):
    facts = json.loads((folder / "assets.extra" / "encoder.json").read_text())
    assert facts["modalities"]["image"] == {
        "id": encoders["image"].digest,
        "dimension": 8,
        "inputs": ["image_bytes"],
        "vector": "image_vector",
        "present": "has_image",
    }
    assert facts["modalities"]["text"]["id"] == encoders["text"].digest
    assert read_manifest(folder, "item_encoder")["modalities"] == facts["modalities"]


def test_one_modality_alone(encoders):
    module = ItemEncoder(text=encoders["text"])
    found = module.encode_item(title=tf.constant(["red"]))
    assert sorted(found) == ["has_title", "text_vector"]
    with pytest.raises(TfmmError, match="neither `image` nor `text`"):
        ItemEncoder()


@pytest.mark.slow
def test_another_process_without_keras_reads_the_same(served, folder, tmp_path):
    titles = ["Red shoes", "", "日本"]
    pictures = [_picture(0), b"", b"x"]
    np.savez(tmp_path / "in.npz", **_encode(served, pictures, titles))
    for number, picture in enumerate(pictures):
        (tmp_path / str(number)).write_bytes(picture)
    code = f"""
import sys
import numpy as np, tensorflow as tf
import tensorflow_text
model = tf.saved_model.load({str(folder)!r})
pictures = [open(f"{tmp_path}/{{i}}", "rb").read() for i in range(3)]
found = model.signatures["encode_item"](
    image_bytes=tf.constant(pictures), title=tf.constant({titles!r}))
expected = np.load("{tmp_path}/in.npz", allow_pickle=False)
for name in expected:
    np.testing.assert_allclose(found[name].numpy(), expected[name], atol=1e-6)
assert "tfmm" not in sys.modules and "keras_hub" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_loaded_encoders_give_the_same_saved_model(encoders, served, tmp_path):
    for name, encoder in encoders.items():
        encoder.save(tmp_path / name)
    again = ItemEncoder(**{m: Encoder.load(tmp_path / m) for m in encoders})
    found = again.encode_item(
        image_bytes=tf.constant(PICTURES), title=tf.constant(TITLES)
    )
    for name, value in _encode(served, PICTURES, TITLES).items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)


def _ask(served, pictures, texts):
    found = served.signatures["encode_query"](
        image_bytes=tf.constant(pictures, tf.string), text=tf.constant(texts)
    )
    return {name: value.numpy() for name, value in found.items()}


def test_queries_are_encoded_as_items_where_nothing_else_is_given(served):
    found, items = _ask(served, PICTURES, TITLES), _encode(served, PICTURES, TITLES)
    flags = {"has_image": "has_image", "has_text": "has_title"}
    assert sorted(found) == ["has_image", "has_text", "image_vector", "text_vector"]
    for name, value in found.items():
        np.testing.assert_array_equal(value, items[flags.get(name, name)])


def test_a_direction_has_a_query_tower_of_its_own(encoders, tmp_path):
    own = tfmm.encoders.Encoder.load(_saved(encoders["text"], tmp_path))
    own.tower.set_weights([w + 0.1 for w in own.tower.get_weights()])
    queries = {"text_to_image": own, "image": encoders["image"]}
    save_item_encoder(tmp_path / "served", **encoders, queries=queries)
    found = _ask(tf.saved_model.load(str(tmp_path / "served")), PICTURES, TITLES)
    assert sorted(found) == [
        "has_image",
        "has_text",
        "image_vector",
        "text_to_image_vector",
    ]
    expected = own.tower(own.preprocess(tf.constant(TITLES))).numpy()
    expected[~found["has_text"]] = 0
    np.testing.assert_allclose(found["text_to_image_vector"], expected, atol=1e-5)
    facts = json.loads((tmp_path / "served/assets.extra/encoder.json").read_text())
    assert facts["queries"] == {"text_to_image": "text", "image": "image"}


def test_a_query_needs_an_encoder_of_items(encoders):
    with pytest.raises(TfmmError, match="Received: 'image' of 'image'"):
        ItemEncoder(text=encoders["text"], queries={"image": encoders["image"]})


def _saved(encoder, folder):
    encoder.save(folder / "own")
    return folder / "own"
