"""Letters that the vocabulary lacks: bytes, and how many there are."""

import numpy as np
import pytest
import tensorflow as tf

import tfmm
from tfmm.encoders.byte_pieces import BYTES
from tfmm.encoders.titles import SPECIAL, WordPieces
from tfmm.encoders.vocabulary import learn_vocabulary

PIECES = [*SPECIAL, "red", "shoe", "##s", "!", *BYTES]


def _words(title, length=40):
    ids, present = WordPieces(PIECES, length)(tf.constant([title], tf.string))
    words = [PIECES[i] for i in ids[0].numpy()]
    assert words[0] == "[CLS]"
    return words[1 : words.index("[SEP]")], bool(present[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Red shoes!", ["red", "shoe", "##s", "!"]),
        # ж is D0 B6, 日 is E6 97 A5.
        ("red ж", ["red", "<0xD0>", "<0xB6>"]),
        ("redжshoe", ["red", "<0xD0>", "<0xB6>", "shoe"]),
        ("日ж red", ["<0xE6>", "<0x97>", "<0xA5>", "<0xD0>", "<0xB6>", "red"]),
        ("ж ж", ["<0xD0>", "<0xB6>", "<0xD0>", "<0xB6>"]),
        ("q", ["<0x71>"]),
        # A title that spells a byte piece is letters, not that piece.
        ("<", ["<0x3C>"]),
    ],
)
def test_unknown_letters_become_their_bytes(title, expected):
    assert _words(title) == (expected, True)


@pytest.mark.slow
def test_nothing_and_broken_utf8():
    assert _words("") == ([], False)
    # The replacement character U+FFFD is EF BF BD.
    assert _words(b"\xff red") == (["<0xEF>", "<0xBF>", "<0xBD>", "red"], True)
    ids, present = WordPieces(PIECES, 8)(tf.constant([], tf.string))
    assert ids.shape == (0, 8)
    assert present.shape == (0,)


def test_a_cut_title():
    assert _words("日日日", length=5)[0] == ["<0xE6>", "<0x97>", "<0xA5>"]


def test_same_ids_in_tf_data_whatever_the_batch():
    titles = ["Red shoes", "", "日本 red", "ж" * 60, "שלום", "नमस्ते !"]
    pieces = WordPieces(PIECES, 16)
    expected, _ = pieces(tf.constant(titles))
    for size in (1, 4):
        data = tf.data.Dataset.from_tensor_slices(titles).batch(size).map(pieces)
        found = np.concatenate([ids for ids, _ in data])
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_learnt_vocabularies_fall_back_to_bytes():
    vocabulary = learn_vocabulary(["red shoe", "rote Hüte"] * 10, size=50)
    assert set(BYTES) <= set(vocabulary)
    ids, _ = WordPieces(vocabulary, 30)(tf.constant(["日本語 жук ok"]))
    assert SPECIAL.index("[UNK]") not in ids.numpy()


@pytest.mark.slow
def test_served_graph_spells_alike(tmp_path):
    encoder = tfmm.encoders.text(
        "micro", vocabulary=PIECES, dimension=4, sequence_length=12
    )
    tfmm.encoders.save_item_encoder(tmp_path / "encoder", text=encoder)
    served = tf.saved_model.load(str(tmp_path / "encoder")).signatures["encode_item"]
    titles = ["Red shoes", "", "日本 red", "redжshoe"]
    data = tf.data.Dataset.from_tensor_slices(titles).batch(2).map(encoder.preprocess)
    expected = encoder.tower(np.concatenate(list(data))).numpy()
    expected[1] = 0
    found = served(title=tf.constant(titles))["text_vector"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("vocabulary", "titles", "share"),
    [
        (PIECES, ["red shoes", b"red"], 0.0),  # red shoe ##s, red
        (PIECES, ["red ж"], 2 / 3),
        (PIECES, iter(["red", "ж", ""]), 2 / 3),
        (PIECES[:8], ["red жж"], 1 / 2),  # No bytes: one [UNK].
        (PIECES, [], 0.0),
        (PIECES, ["red " * 100], 0.0),  # Uncut.
    ],
)
def test_unknown_share(vocabulary, titles, share):
    encoder = tfmm.encoders.text(
        "micro", vocabulary=vocabulary, dimension=4, sequence_length=6
    )
    assert encoder.unknown_share(titles) == pytest.approx(share)
