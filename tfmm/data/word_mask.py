"""Leaving words out at random, so that a tower learns not to hang on one of them."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfmm.encoders.titles import SPECIAL, UNKNOWN
from tfmm.errors import TfmmError


def mask_words(
    ids: tf.Tensor,
    seed: tf.Tensor,
    share: float,
    mask_id: int,
    special: Sequence[int],
) -> tf.Tensor:
    """Replaces tokens at random; each row keeps at least one.

    Args:
        ids: int32 `[n, T]`.
        seed: int `[2]`; the same seed gives the same tokens.
        share: Chance of each token to be replaced.
        mask_id: What replaces it.
        special: Ids that are never replaced: filling and marks.

    Returns:
        int32 `[n, T]`.

    Example:
        >>> ids = tf.constant([[2, 7, 8, 9, 3, 0], [2, 7, 3, 0, 0, 0]])
        >>> mask_words(ids, tf.constant([1, 2]), 1.0, 1, [0, 2, 3]).numpy().tolist()
        [[2, 1, 8, 1, 3, 0], [2, 7, 3, 0, 0, 0]]
    """
    marks = tf.constant(list(special), ids.dtype)
    words = tf.reduce_all(ids[:, :, None] != marks, axis=-1)
    random = tf.random.stateless_uniform(tf.shape(ids), seed)
    random = tf.where(words, random, -1.0)
    # The word with the largest number is the one that stays in any case.
    stays = random == tf.reduce_max(random, axis=1, keepdims=True)
    chosen = words & (random < share) & ~stays
    return tf.where(chosen, tf.cast(mask_id, ids.dtype), ids)


def word_marks(encoder: Any) -> tuple[int, tuple[int, ...]]:
    """The id that masks a word, and those of filling and marks.

    Args:
        encoder: A text encoder with `tokens`: of a vocabulary with an unknown word, or
            of a preset whose tokenizer has a mask or an unknown word.

    Raises:
        TfmmError: If it has neither.
    """
    tokens = getattr(encoder, "tokens", None)
    vocabulary = getattr(tokens, "vocabulary", None)
    if vocabulary and UNKNOWN in vocabulary:
        special = (vocabulary.index(name) for name in SPECIAL if name != UNKNOWN)
        return vocabulary.index(UNKNOWN), tuple(special)
    tokenizer = getattr(tokens, "tokenizer", None)
    mask = _first(tokenizer, "mask_token_id", "unk_token_id", "unknown_token_id")
    if mask is None:
        raise TfmmError(
            "`mask_words` needs a text encoder whose vocabulary has a mask or an "
            f"unknown word. Received: {type(encoder).__name__} without one. Set it to "
            "0, or use another vocabulary."
        )
    marks = ("pad", "start", "end", "cls", "sep")
    found = [_first(tokenizer, f"{name}_token_id") for name in marks]
    return mask, tuple(dict.fromkeys(mark for mark in found if mark is not None))


def _first(holder: Any, *names: str) -> int | None:
    found = (getattr(holder, name, None) for name in names)
    return next((value for value in found if value is not None), None)
