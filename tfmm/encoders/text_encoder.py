"""Titles to unit vectors."""

import hashlib
from pathlib import Path
from typing import Any, Self

import keras
import tensorflow as tf

from tfmm.encoders.encoder import Encoder
from tfmm.encoders.layers import MaskedMean, TokenFeatures
from tfmm.encoders.preset_tokens import PresetTokens
from tfmm.encoders.titles import WordPieces
from tfmm.errors import TfmmError

_VOCABULARY = "vocabulary.txt"
_TOKENIZER = "tokenizer"


class TextEncoder(Encoder):
    """Titles to unit vectors.

    Args:
        tower: From int32 `[B, T]` to float32 `[B, d]`; see `text_tower`.
        tokens: What numbers the words: the shop's own `WordPieces` or a preset's.

    Example:
        >>> import tfmm
        >>> encoder = tfmm.encoders.text(
        ...     "micro", titles=["red shoe", "hat"], dimension=8, sequence_length=6)
        >>> ids, present = encoder.read(tf.constant(["red hat", " "]))
        >>> ids.shape.as_list(), present.numpy().tolist()
        ([2, 6], [True, False])
        >>> encoder.tower(ids).shape.as_list()
        [2, 8]
    """

    modality = "text"

    def __init__(self, tower: keras.Model, tokens: WordPieces | PresetTokens) -> None:
        super().__init__(tower)
        self.tokens = tokens

    @property
    def sequence_length(self) -> int:
        """Tokens T that a title is cut or filled to."""
        return self.tokens.sequence_length

    def read(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Token ids int32 `[B, T]`, and which titles hold anything, bool `[B]`."""
        return self.tokens(raw)

    def _config(self) -> dict[str, Any]:
        preset = isinstance(self.tokens, PresetTokens)
        return {
            "sequence_length": self.sequence_length,
            "tokens": "preset" if preset else "word_pieces",
            "vocabulary": hashlib.sha256(
                "\n".join(self._vocabulary()).encode()
            ).hexdigest(),
        }

    def _save_assets(self, folder: Path) -> None:
        if isinstance(self.tokens, PresetTokens):
            self.tokens.save(folder / _TOKENIZER)
        else:
            text = "".join(f"{piece}\n" for piece in self.tokens.vocabulary)
            (folder / _VOCABULARY).write_text(text, encoding="utf-8")

    def _vocabulary(self) -> list[str]:
        if isinstance(self.tokens, WordPieces):
            return self.tokens.vocabulary
        return self.tokens.tokenizer.get_vocabulary()

    @classmethod
    def _assemble(
        cls, tower: keras.Model, config: dict[str, Any], folder: Path
    ) -> Self:
        length = config["sequence_length"]
        if config["tokens"] == "preset":
            return cls(tower, PresetTokens.load(folder / _TOKENIZER, length))
        text = (folder / _VOCABULARY).read_text(encoding="utf-8")
        return cls(tower, WordPieces(text.split("\n")[:-1], length))


def text_tower(
    backbone: keras.Model, dimension: int, sequence_length: int, pad_id: int = 0
) -> keras.Model:
    """Backbone, mean over the words (and the pooled first token), projection, unit.

    Args:
        backbone: A keras-hub text backbone, from `token_ids`, `padding_mask` and
            perhaps `segment_ids` to `[B, T, c]`.
        dimension: Length d of the vectors.
        sequence_length: Tokens T of a title.
        pad_id: The id that fills.

    Returns:
        A Keras model from int32 `[B, T]` to float32 `[B, d]`.

    Raises:
        TfmmError: If the backbone takes other inputs.
    """
    tokens = keras.Input((sequence_length,), dtype="int32", name="tokens")
    keys = tuple(sorted(backbone.input))
    if "padding_mask" not in keys:
        raise TfmmError(
            "A text tower needs a backbone of whole sequences. Expected: inputs "
            f"token_ids and padding_mask. Received: {list(keys)}. Use an encoder such "
            "as BertBackbone or RobertaBackbone."
        )
    features = TokenFeatures(pad_id, keys, name="token_features")(tokens)
    found = backbone(features)
    sequence = found["sequence_output"] if isinstance(found, dict) else found
    x = MaskedMean(name="pooling")(sequence, features["padding_mask"])
    if isinstance(found, dict) and "pooled_output" in found:
        x = keras.layers.Concatenate(name="mean_and_first")([x, found["pooled_output"]])
    x = keras.layers.Dense(dimension, name="projection")(x)
    vector = keras.layers.UnitNormalization(dtype="float32", name="vector")(x)
    return keras.Model(tokens, vector, name="text_tower")
