"""The tokenizer that a pretrained text backbone came with."""

import json
from pathlib import Path
from typing import Any

import keras
import keras_hub  # noqa: F401  (registers its tokenizers)
import tensorflow as tf

from tfmm.encoders.titles import pack

_CONFIG = "tokenizer.json"


class PresetTokens:
    """Numbers titles with any keras-hub tokenizer, marks and pads them.

    Args:
        tokenizer: A `keras_hub.tokenizers.Tokenizer` with a padding id; start and end
            marks are set where it has them.
        sequence_length: Length T of the output.
    """

    def __init__(self, tokenizer: Any, sequence_length: int) -> None:
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        self.pad_id = tokenizer.pad_token_id
        self._start = _mark(tokenizer, "start_token_id", "cls_token_id")
        self._end = _mark(tokenizer, "end_token_id", "sep_token_id")
        self._unknown = _mark(tokenizer, "unk_token_id", "unknown_token_id")
        if self._unknown is None and getattr(tokenizer, "oov_token", None):
            self._unknown = tokenizer.token_to_id(tokenizer.oov_token)
        titles = [tf.TensorSpec([None], tf.string)]
        self._graph = tf.function(self._read, input_signature=titles)
        self._counts = tf.function(self._count, input_signature=titles)

    def __call__(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Token ids int32 `[B, T]` of titles `[B]`, and which hold anything."""
        return self._graph(title)

    def save(self, folder: Path) -> None:
        """Writes the tokenizer's configuration and files."""
        folder.mkdir()
        config = keras.saving.serialize_keras_object(self.tokenizer)
        (folder / _CONFIG).write_text(json.dumps(config, indent=1) + "\n")
        self.tokenizer.save_assets(str(folder))

    @classmethod
    def load(cls, folder: Path, sequence_length: int) -> "PresetTokens":
        """Opens what `save` wrote."""
        config = json.loads((folder / _CONFIG).read_text())
        tokenizer = keras.saving.deserialize_keras_object(config)
        tokenizer.load_assets(str(folder))
        return cls(tokenizer, sequence_length)

    def count(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How many tokens uncut titles have, and how many of them are unknown.

        Args:
            title: string `[B]`.

        Returns:
            Two int32 scalars, marks and filling left out.
        """
        return self._counts(title)

    def _count(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids = self._cut(title).flat_values
        strange = ids == (-1 if self._unknown is None else self._unknown)
        return tf.size(ids), tf.reduce_sum(tf.cast(strange, tf.int32))

    def _read(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pieces = self._cut(title)
        return pack(pieces, self._start, self._end, self.pad_id, self.sequence_length)

    def _cut(self, title: tf.Tensor) -> tf.RaggedTensor:
        text = tf.strings.unicode_transcode(title, "UTF-8", "UTF-8", errors="replace")
        return tf.cast(self.tokenizer(text), tf.int32)


def _mark(tokenizer: Any, *names: str) -> int | None:
    found = (getattr(tokenizer, name, None) for name in names)
    return next((mark for mark in found if mark is not None), None)
