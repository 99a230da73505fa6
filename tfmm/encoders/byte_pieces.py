"""Byte fall-back: letters that a vocabulary lacks are spelt with their bytes."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_text as tf_text

BYTES = tuple(f"<0x{value:02X}>" for value in range(256))


def first_byte(vocabulary: Sequence[str]) -> int | None:
    """Id of the piece `<0x00>` where all 256 follow in order; `None` if they do not.

    Example:
        >>> first_byte(["a", *BYTES]), first_byte(["a", "<0x00>"])
        (1, None)
    """
    if BYTES[0] not in vocabulary:
        return None
    start = list(vocabulary).index(BYTES[0])
    return start if tuple(vocabulary[start : start + 256]) == BYTES else None


def split_foreign(text: tf.Tensor, foreign: str) -> tf.RaggedTensor:
    """Cuts texts before and after every run of foreign letters.

    Args:
        text: string `[B]`, UTF-8.
        foreign: Regular expression of a run of foreign letters.

    Returns:
        string `[B, (runs)]`; joined they are the texts.

    Example:
        >>> runs = split_foreign(tf.constant(["redжжhat"]), "ж+").to_list()[0]
        >>> [run.decode() for run in runs]
        ['red', 'жж', 'hat']
    """
    return tf_text.regex_split(text, foreign, keep_delim_regex_pattern=foreign)


def byte_ids(text: tf.Tensor, start: int) -> tf.RaggedTensor:
    """The bytes of texts as ids, `start` being that of byte 0.

    Args:
        text: string `[n]`.
        start: Id of `<0x00>`.

    Returns:
        int32 `[n, (bytes)]`.

    Example:
        >>> byte_ids(tf.constant(["ä", ""]), 10).to_list()  # ä is C3 A4
        [[205, 174], []]
    """
    letters = tf.strings.bytes_split(text)
    values = tf.io.decode_raw(letters.values, tf.uint8)
    flat = tf.reshape(tf.cast(values, tf.int32), [-1]) + start
    return letters.with_values(flat)
