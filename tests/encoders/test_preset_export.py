"""Served encoders of presets whose tokenizers hold tables or models of their own."""

import io
import subprocess
import sys

import keras
import keras_hub
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

import tfmm
from tfmm.encoders import Encoder, save_item_encoder

MODELS = keras_hub.models
TITLES = ["red shoe", "", " ", "ガラス 👍", "red " * 300, "a shoe's red_hat"]
BACKBONE = {
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
    "max_sequence_length": 16,
}


def _byte_letters():
    """The letters by which byte-pair vocabularies write the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in plain] + [chr(256 + n) for n in range(68)]


def _roberta():
    merges = ["r e", "re d", "Ġ r", "Ġr e", "Ġre d", "s h", "sh o", "sho e"]
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces = [*marks, *_byte_letters(), *(x.replace(" ", "") for x in merges)]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    backbone = MODELS.RobertaBackbone(vocabulary_size=len(vocabulary), **BACKBONE)
    return backbone, MODELS.RobertaTokenizer(vocabulary=vocabulary, merges=merges)


def _xlm_roberta():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["red shoes for men", "blue hat and more"] * 50),
        model_writer=model,
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
        unk_id=0,
        bos_id=1,
        eos_id=2,
    )
    backbone = MODELS.XLMRobertaBackbone(vocabulary_size=60, **BACKBONE)
    return backbone, MODELS.XLMRobertaTokenizer(proto=model.getvalue())


SERVE = """
import sys
import numpy as np, tensorflow as tf
import tensorflow_text
folder, titles, found = sys.argv[1:]
model = tf.saved_model.load(folder)
titles = tf.constant(np.load(titles, allow_pickle=False).tolist())
served = model.signatures["encode_item"](title=titles)
np.savez(found, **{name: value.numpy() for name, value in served.items()})
assert "tfmm" not in sys.modules and "keras_hub" not in sys.modules
"""


def _encoder(make, tmp_path):
    keras.utils.set_random_seed(0)
    for part in make():
        part.save_to_preset(str(tmp_path / "preset"))
    return tfmm.encoders.text_from_preset(
        tmp_path / "preset", dimension=4, sequence_length=12
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", [_roberta, _xlm_roberta])
def test_served_in_another_process_equals_the_tower(make, tmp_path):
    encoder = _encoder(make, tmp_path)
    data = tf.data.Dataset.from_tensor_slices(TITLES).batch(2).map(encoder.read)
    ids, present = (np.concatenate(part) for part in zip(*data, strict=True))
    expected = encoder.tower(ids, training=False).numpy() * present[:, None]
    encoder.save(tmp_path / "encoder")
    save_item_encoder(tmp_path / "served", text=Encoder.load(tmp_path / "encoder"))
    np.save(tmp_path / "titles.npy", TITLES)
    paths = [str(tmp_path / name) for name in ("served", "titles.npy", "found.npz")]
    subprocess.run([sys.executable, "-c", SERVE, *paths], check=True, cwd=tmp_path)
    found = np.load(paths[2], allow_pickle=False)
    assert present.any()
    np.testing.assert_array_equal(found["has_title"], present)
    np.testing.assert_allclose(found["text_vector"], expected, atol=1e-5)


@pytest.mark.slow
def test_no_word_that_was_read_leaves_with_the_export(tmp_path):
    encoder = _encoder(_roberta, tmp_path)
    encoder.read(tf.constant(["red secretword"]))
    save_item_encoder(tmp_path / "served", text=encoder)
    stored = b"".join(
        path.read_bytes() for path in (tmp_path / "served").rglob("*") if path.is_file()
    )
    assert b"red" in stored
    # The cache would hold it in pieces: "s e c r e t w o r d".
    assert b"e c r e t w" not in stored
