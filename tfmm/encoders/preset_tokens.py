"""The tokenizer that a pretrained text backbone came with."""

import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import keras_hub  # noqa: F401  (registers its tokenizers)
import tensorflow as tf

from tfmm.encoders.tokens import Tokens

_CONFIG = "tokenizer.json"


class PresetTokens(Tokens):
    """Numbers titles with any keras-hub tokenizer, marks and pads them.

    Args:
        tokenizer: A `keras_hub.tokenizers.Tokenizer` with a padding id; start and end
            marks are set where it has them.
        sequence_length: Length T of the output.
    """

    def __init__(self, tokenizer: Any, sequence_length: int) -> None:
        super().__init__(
            sequence_length,
            tokenizer.pad_token_id,
            start=_mark(tokenizer, "start_token_id", "cls_token_id"),
            end=_mark(tokenizer, "end_token_id", "sep_token_id"),
        )
        self.tokenizer = tokenizer
        self._unknown = _mark(tokenizer, "unk_token_id", "unknown_token_id")
        if self._unknown is None and getattr(tokenizer, "oov_token", None):
            self._unknown = tokenizer.token_to_id(tokenizer.oov_token)

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

    def fresh(self) -> "PresetTokens":
        """The same numbering with a tokenizer that has seen no title.

        Byte-pair tokenizers keep every word that they meet. An export holds this, so
        that no shopper's words leave with it.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "tokenizer")
            return self.load(Path(folder) / "tokenizer", self.sequence_length)

    @property
    def resources(self) -> tuple[Any, ...]:
        """The tokenizer, which holds its tables."""
        return (self.tokenizer,)

    def _strange(self, ids: tf.Tensor) -> tf.Tensor:
        return ids == (-1 if self._unknown is None else self._unknown)

    def _cut(self, title: tf.Tensor) -> tf.RaggedTensor:
        text = tf.strings.unicode_transcode(title, "UTF-8", "UTF-8", errors="replace")
        return tf.cast(self.tokenizer(text), tf.int32)


def _mark(tokenizer: Any, *names: str) -> int | None:
    found = (getattr(tokenizer, name, None) for name in names)
    return next((mark for mark in found if mark is not None), None)
