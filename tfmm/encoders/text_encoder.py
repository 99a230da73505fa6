"""Titles to unit vectors."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Self

import keras
import tensorflow as tf

from tfmm.encoders.backbones import call_backbone, pooled, token_inputs, unit_head
from tfmm.encoders.layers import TokenFeatures
from tfmm.encoders.media_encoder import MediaEncoder
from tfmm.encoders.own_models import check_length
from tfmm.encoders.preset_tokens import PresetTokens
from tfmm.encoders.titles import WordPieces
from tfmm.encoders.tower import Tower

_VOCABULARY = "vocabulary.txt"
_TOKENIZER = "tokenizer"
_SHARE_BATCH = 4096


class TextEncoder(MediaEncoder):
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

    def unknown_share(self, titles: Iterable[str | bytes]) -> float:
        """Share of the titles' tokens that no piece of the vocabulary stands for.

        These are the unknown mark and the bytes that letters fall back to, among all
        tokens of the uncut titles, marks and filling left out. A high share in a
        language says that the vocabulary was learnt without it.

        Args:
            titles: Titles; read once.

        Returns:
            A share from 0 to 1; 0 where there is no token.

        Example:
            >>> import tfmm
            >>> titles = ["red hat"] * 10
            >>> encoder = tfmm.encoders.text("micro", titles=titles, dimension=8)
            >>> encoder.unknown_share(["red hat", "ж hat"])  # two bytes of five tokens
            0.4
        """
        known = unknown = 0
        for batch in _batches(titles, _SHARE_BATCH):
            tokens, strange = self.tokens.count(tf.constant(batch))
            known, unknown = known + int(tokens - strange), unknown + int(strange)
        return unknown / max(known + unknown, 1)

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


def _batches(titles: Iterable[str | bytes], size: int) -> Iterator[list[str | bytes]]:
    left = iter(titles)
    while batch := list(islice(left, size)):
        yield batch


def text_tower(
    backbone: keras.Model,
    dimension: int | None,
    sequence_length: int,
    pad_id: int = 0,
) -> Tower:
    """Backbone, mean over the words (and the pooled first token), projection, unit.

    Args:
        backbone: From token ids `[B, T]`, alone or as `token_ids` beside
            `padding_mask` and `segment_ids`, to `[B, T, c]` or vectors `[B, c]`.
        dimension: Length d of the vectors; `None` leaves the projection out.
        sequence_length: Tokens T of a title.
        pad_id: The id that fills.

    Returns:
        A tower from int32 `[B, T]` to float32 `[B, d]`.

    Raises:
        TfmmError: If the backbone takes other inputs, gives another shape, or has no
            positions for titles of that length.
    """
    inputs = token_inputs(backbone, sequence_length)
    tokens = keras.Input((sequence_length,), dtype="int32", name="tokens")
    keys = tuple(dict.fromkeys([*inputs, "padding_mask"]))
    features = TokenFeatures(pad_id, keys, name="token_features")(tokens)
    found = call_backbone(backbone, {name: features[name] for name in inputs})
    sequence = found["sequence_output"] if isinstance(found, dict) else found
    x = pooled(sequence, features["padding_mask"])
    if isinstance(found, dict) and "pooled_output" in found:
        x = keras.layers.Concatenate(name="mean_and_first")([x, found["pooled_output"]])
    tower = Tower(tokens, unit_head(x, dimension), name="text_tower")
    check_length(tower, pad_id)
    return tower
