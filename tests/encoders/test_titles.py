"""Titles to token ids."""

import numpy as np
import pytest
import tensorflow as tf

from tfmm.encoders.titles import SPECIAL, WordPieces, normalise_titles
from tfmm.encoders.vocabulary import _sample, learn_vocabulary
from tfmm.errors import TfmmError

PIECES = [*SPECIAL, "red", "shoe", "##s", "s", "h", "##o", "日", "!"]


def _tokens(*titles, length=8):
    pieces = WordPieces(PIECES, length)
    ids, present = pieces(tf.constant(titles, tf.string))
    words = [[PIECES[i] for i in row if PIECES[i] not in SPECIAL[2:]] for row in ids]
    words = [[word for word in row if word != "[PAD]"] for row in words]
    return words, present.numpy().tolist()


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("ＲＥＤ Café", "red cafe"),
        ("Ærø STRASSE straße", "ærø strasse strasse"),
        ("ﬁne", "fine"),
        ("Тёплый", "теплыи"),
        ("ガラス", "ガラス"),
        ("हिन्दी", "हिन्दी"),
        ("한국어", "한국어"),
        ("x" * 60, "x" * 25 + " " + "x" * 25 + " " + "x" * 10),
    ],
)
def test_spelling(title, expected):
    assert normalise_titles(tf.constant([title])).numpy()[0].decode() == expected


def test_words_are_spelt_with_pieces():
    assert _tokens("Red Shoes!", "SHOES red") == (
        [["red", "shoe", "##s", "!"], ["shoe", "##s", "red"]],
        [True, True],
    )


def test_unknown_characters_leave_the_rest_of_a_word():
    words, _ = _tokens("red-shoe", "redпшshoe", "日red")
    assert words[0] == ["red", "[UNK]", "shoe"]
    assert words[1] == ["red", "[UNK]", "shoe"]
    assert words[2] == ["日", "red"]


def test_unspellable_word_of_known_characters_is_unknown():
    assert _tokens("dd")[0] == [["[UNK]"]]


@pytest.mark.parametrize("title", ["", "  ", "\t\n", "\u200b", "\u00a0"])
def test_nothing_to_read(title):
    assert _tokens(title) == ([[]], [False])


@pytest.mark.parametrize(
    "title", [b"\xff\xfe red", b"\xc3 red", b"red\x00", b"\xed\xa0\x80 red"]
)
def test_broken_utf8_does_no_harm(title):
    words, present = _tokens(title)
    assert present == [True]
    assert "red" in words[0]


def test_long_titles_are_cut_and_marked():
    pieces = WordPieces(PIECES, 5)
    ids, _ = pieces(tf.constant(["red " * 50, "red", ""]))
    assert ids.numpy().tolist() == [[2, 4, 4, 4, 3], [2, 4, 3, 0, 0], [2, 3, 0, 0, 0]]
    assert ids.dtype == tf.int32


def test_no_titles():
    ids, present = WordPieces(PIECES, 5)(tf.constant([], tf.string))
    assert ids.shape == (0, 5)
    assert present.shape == (0,)


def test_same_ids_inside_tf_data():
    titles = ["Red shoes", "", "日本 red", "x" * 200]
    pieces = WordPieces(PIECES, 8)
    data = tf.data.Dataset.from_tensor_slices(titles).batch(2).map(pieces)
    expected, _ = pieces(tf.constant(titles))
    np.testing.assert_array_equal(np.concatenate([ids for ids, _ in data]), expected)


@pytest.mark.parametrize("vocabulary", [[], ["red"], [*SPECIAL[1:], "[PAD]"]])
def test_vocabulary_without_special_pieces(vocabulary):
    with pytest.raises(TfmmError, match="A vocabulary starts with"):
        WordPieces(vocabulary, 8)


def test_too_short_sequence():
    with pytest.raises(TfmmError, match="leave room for a title"):
        WordPieces(PIECES, 2)


def test_learnt_vocabulary_spells_new_words():
    titles = ["Rote Schuhe", "rote Hüte", b"blaue Schuhe", ""] * 20
    vocabulary = learn_vocabulary(titles, size=60)
    assert tuple(vocabulary[:4]) == SPECIAL
    assert len(set(vocabulary)) == len(vocabulary)
    assert {"rote", "schuhe"} <= set(vocabulary)
    assert vocabulary == learn_vocabulary(titles, size=60)
    ids, _ = WordPieces(vocabulary, 16)(tf.constant(["Qualle 7xy, Zebra-9"]))
    assert SPECIAL.index("[UNK]") not in ids.numpy()


def _ideographs(count):
    """Titles of so many letters, the first ones in more of them."""
    letters = [chr(0x4E00 + place) for place in range(count)]
    return [x * (2 if place < count // 2 else 1) for place, x in enumerate(letters)]


def test_letters_beyond_the_learners_thousand_are_pieces():
    titles = _ideographs(1_500)
    pieces = WordPieces(learn_vocabulary(titles, size=4_000), 8)
    tokens, strange = pieces.count(tf.constant(titles))
    # 750 letters twice and 750 once, none of them in bytes.
    assert (int(tokens), int(strange)) == (2_250, 0)


def test_the_most_frequent_letters_come_first_while_there_is_room():
    titles = _ideographs(1_500)
    small, more = (learn_vocabulary(titles, size=size) for size in (10, 2_100))
    # The learner's 1,000 letters twice, a-z and 0-9 twice, 4 marks: room for 24.
    added = set(more) - set(small)
    assert len(added) == 2_100 - (2_000 + 72 + 4)
    assert added == {chr(0x4E00 + place) for place in range(1_000, 1_024)}
    assert set("".join(titles[:750])) <= set(small)


def test_vocabulary_of_nothing():
    with pytest.raises(TfmmError, match="no title that is not empty"):
        learn_vocabulary(["", "  "])


def test_sample_is_uniform_and_repeatable():
    drawn = [_sample(map(str, range(10)), 5, seed) for seed in range(400)]
    share = np.bincount([int(x) for d in drawn for x in d], minlength=10) / 400
    np.testing.assert_allclose(share, 0.5, atol=0.1)
    assert _sample(map(str, range(10)), 5, 3) == drawn[3]
