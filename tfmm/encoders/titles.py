"""Titles to token ids as TensorFlow graph ops: for tf.data and for the server."""

from collections.abc import Sequence

import keras_hub
import tensorflow as tf
import tensorflow_text as tf_text

from tfmm.encoders.byte_pieces import BYTES, byte_ids, first_byte, split_foreign
from tfmm.encoders.tokens import Tokens
from tfmm.errors import TfmmError

PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
SPECIAL = (PAD, UNKNOWN, START, END)
# The word-piece op gives up on words above 100 bytes: four times 25 characters.
_LONGEST_WORD = 25


def normalise_titles(title: tf.Tensor) -> tf.Tensor:
    """Brings titles into one spelling.

    Broken UTF-8 becomes U+FFFD, compatibility forms (full width, ligatures) their
    plain ones, capitals small; accents on Latin, Greek and Cyrillic letters go, vowel
    signs of other scripts stay. Words are cut every 25 characters.

    Args:
        title: string `[B]`, UTF-8.

    Returns:
        string `[B]`.

    Example:
        >>> normalise_titles(tf.constant(["ＲＥＤ Café"])).numpy()[0].decode()
        'red cafe'
    """
    text = tf.strings.unicode_transcode(title, "UTF-8", "UTF-8", errors="replace")
    text = tf_text.normalize_utf8(text, "NFKD")
    text = tf.strings.regex_replace(text, r"[\x{0300}-\x{036F}]", "")
    text = tf_text.normalize_utf8(tf_text.case_fold_utf8(text), "NFKC")
    return tf.strings.regex_replace(text, rf"(\S{{{_LONGEST_WORD}}})", r"\1 ")


class WordPieces(Tokens):
    """Cuts titles into the pieces of a vocabulary and numbers them.

    A word that the vocabulary lacks is spelt with shorter pieces, in the end with
    single letters. A run of characters that occur nowhere in the vocabulary becomes
    its UTF-8 bytes, pieces such as `<0xE4>`, or one `[UNK]` where the vocabulary holds
    no byte pieces; the rest of its word is left alone.

    Args:
        vocabulary: Pieces, one per id; `##` marks those inside a word. Must hold
            `[PAD]` (first), `[UNK]`, `[CLS]` and `[SEP]`.
        sequence_length: Length T of the output, `[CLS]` and `[SEP]` included.

    Raises:
        TfmmError: If a special piece is missing, or T leaves no room for a title.

    Example:
        >>> pieces = WordPieces([*SPECIAL, "red", "shoe", "##s"], sequence_length=6)
        >>> ids, present = pieces(tf.constant(["Red shoes", ""]))
        >>> ids.numpy().tolist(), present.numpy().tolist()
        ([[2, 4, 5, 6, 3, 0], [2, 3, 0, 0, 0, 0]], [True, False])
    """

    def __init__(self, vocabulary: Sequence[str], sequence_length: int) -> None:
        missing = set(SPECIAL) - set(vocabulary)
        if missing or vocabulary[0] != PAD:
            raise TfmmError(
                f"A vocabulary starts with {PAD} and holds {list(SPECIAL)}. Received: "
                f"first {list(vocabulary[:1])}, without {sorted(missing)}. Learn one "
                "with `learn_vocabulary`."
            )
        if sequence_length < 3:
            raise TfmmError(
                "`sequence_length` must leave room for a title between two marks. "
                f"Received: {sequence_length}. Use 3 or more."
            )
        self.vocabulary = list(vocabulary)
        ends = self.vocabulary.index(START), self.vocabulary.index(END)
        super().__init__(sequence_length, 0, *ends)
        self._pieces = keras_hub.tokenizers.WordPieceTokenizer(self.vocabulary)
        self._first_byte = first_byte(vocabulary)
        spelling = set(vocabulary) - set(SPECIAL) - set(BYTES)
        known = sorted(set("".join(spelling)) - set(" "))
        letters = "".join(f"\\x{{{ord(letter):X}}}" for letter in known)
        self._foreign = rf"[^\s{letters}]+"

    def _strange(self, ids: tf.Tensor) -> tf.Tensor:
        strange = ids == self.vocabulary.index(UNKNOWN)
        if self._first_byte is None:
            return strange
        last = self._first_byte + len(BYTES) - 1
        return strange | ((ids >= self._first_byte) & (ids <= last))

    def _cut(self, title: tf.Tensor) -> tf.RaggedTensor:
        text = normalise_titles(title)
        if self._first_byte is None:
            text = tf.strings.regex_replace(text, self._foreign, r" \0 ")
            return tf.cast(self._pieces(text), tf.int32)
        runs = split_foreign(text, self._foreign)
        foreign = tf.strings.regex_full_match(runs.values, self._foreign)
        words = tf.cast(self._pieces(tf.where(foreign, "", runs.values)), tf.int32)
        spelt = byte_ids(tf.where(foreign, runs.values, ""), self._first_byte)
        tokens = tf.concat([words, tf.cast(spelt, words.dtype)], axis=1)
        return runs.with_values(tokens).merge_dims(1, 2)
