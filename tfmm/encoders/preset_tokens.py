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
        tokenizer: A `keras_hub.tokenizers.Tokenizer` with start, end and padding ids.
        sequence_length: Length T of the output.
    """

    def __init__(self, tokenizer: Any, sequence_length: int) -> None:
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        self.pad_id = tokenizer.pad_token_id
        first, last = "start_token_id", "end_token_id"
        if getattr(tokenizer, first, None) is None:
            first, last = "cls_token_id", "sep_token_id"
        self._start: int = getattr(tokenizer, first)
        self._end: int = getattr(tokenizer, last)
        self._graph = tf.function(
            self._read, input_signature=[tf.TensorSpec([None], tf.string)]
        )

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

    def _read(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        text = tf.strings.unicode_transcode(title, "UTF-8", "UTF-8", errors="replace")
        pieces = self.tokenizer(text)
        return pack(pieces, self._start, self._end, self.pad_id, self.sequence_length)
