"""Encoders by name: new ones of a given size, or around a pretrained backbone."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras_hub

from tfmm.encoders.image_encoder import ImageEncoder, image_tower
from tfmm.encoders.pictures import MAX_PIXELS
from tfmm.encoders.preset_tokens import PresetTokens
from tfmm.encoders.sizes import image_backbone, text_backbone
from tfmm.encoders.text_encoder import TextEncoder, text_tower
from tfmm.encoders.titles import WordPieces
from tfmm.encoders.vocabulary import learn_vocabulary
from tfmm.errors import TfmmError


def image(
    size: str = "micro",
    *,
    dimension: int = 64,
    image_size: int = 64,
    max_pixels: int = MAX_PIXELS,
) -> ImageEncoder:
    """A picture encoder with random weights, to be trained.

    Args:
        size: `"micro"` (seconds on a CPU), `"tiny"`, `"small"` or `"base"` (ViT's own).
        dimension: Length d of the vectors.
        image_size: Side S of the square that pictures are fitted into.
        max_pixels: Pictures with more pixels count as absent.

    Raises:
        TfmmError: If the size is unknown or `image_size` no multiple of its patch.

    Example:
        >>> import tfmm
        >>> tfmm.encoders.image("micro", dimension=16).tower.output_shape
        (None, 16)
    """
    tower = image_tower(image_backbone(size, image_size), dimension)
    return ImageEncoder(tower, max_pixels)


def text(
    size: str = "micro",
    *,
    titles: Iterable[str | bytes] | None = None,
    vocabulary: Sequence[str] | str | Path | None = None,
    dimension: int = 64,
    sequence_length: int = 24,
    vocabulary_size: int = 8_000,
) -> TextEncoder:
    """A title encoder with random weights, to be trained.

    Args:
        size: `"micro"` (seconds on a CPU), `"tiny"`, `"small"` or `"base"` (BERT's).
        titles: The shop's titles, to learn the word pieces from.
        vocabulary: The word pieces, or a file with one per line, instead of `titles`.
        dimension: Length d of the vectors.
        sequence_length: Tokens T of a title, two marks included; what follows is cut.
        vocabulary_size: Word pieces to learn from `titles`.

    Raises:
        TfmmError: If the size is unknown, or not exactly one of `titles` and
            `vocabulary` is given.

    Example:
        >>> import tfmm
        >>> encoder = tfmm.encoders.text("micro", titles=["a hat"], dimension=16)
        >>> encoder.tower.output_shape
        (None, 16)
    """
    if (titles is None) == (vocabulary is None):
        raise TfmmError(
            "A text encoder takes either `titles` to learn its word pieces from, or a "
            f"`vocabulary`. Received: {'neither' if titles is None else 'both'}. "
            "Give one."
        )
    if titles is not None:
        vocabulary = learn_vocabulary(titles, vocabulary_size)
    elif isinstance(vocabulary, str | Path):
        vocabulary = Path(vocabulary).read_text(encoding="utf-8").splitlines()
    tokens = WordPieces(vocabulary or [], sequence_length)
    backbone = text_backbone(size, len(tokens.vocabulary), sequence_length)
    return TextEncoder(text_tower(backbone, dimension, sequence_length), tokens)


def image_from_preset(
    preset: str | Path, *, dimension: int = 64, max_pixels: int = MAX_PIXELS
) -> ImageEncoder:
    """A picture encoder around a pretrained keras-hub backbone.

    Pixels are scaled as the preset's image converter says, else to [-1, 1].

    Args:
        preset: A local preset folder, or a hub's name (needs the network), e.g.
            `"vit_base_patch16_224_imagenet"`.
        dimension: Length d of the vectors; the projection starts at random.
        max_pixels: Pictures with more pixels count as absent.

    Raises:
        TfmmError: If the preset cannot be opened or holds no such backbone.
    """
    backbone = _from_preset(keras_hub.models.Backbone, preset)
    scaling = _preset_scaling(preset)
    return ImageEncoder(image_tower(backbone, dimension, **scaling), max_pixels)


def text_from_preset(
    preset: str | Path, *, dimension: int = 64, sequence_length: int = 24
) -> TextEncoder:
    """A title encoder around a pretrained keras-hub backbone and its tokenizer.

    Args:
        preset: A local preset folder, or a hub's name (needs the network), e.g.
            `"bert_tiny_en_uncased"`.
        dimension: Length d of the vectors; the projection starts at random.
        sequence_length: Tokens T of a title.

    Raises:
        TfmmError: If the preset cannot be opened or holds no such backbone.
    """
    backbone = _from_preset(keras_hub.models.Backbone, preset)
    tokenizer = _from_preset(keras_hub.tokenizers.Tokenizer, preset)
    tokens = PresetTokens(tokenizer, sequence_length)
    tower = text_tower(backbone, dimension, sequence_length, tokens.pad_id)
    return TextEncoder(tower, tokens)


def _from_preset(kind: Any, preset: str | Path) -> Any:
    try:
        return kind.from_preset(str(preset))
    except (ValueError, OSError) as error:
        raise TfmmError(
            f"The preset cannot be opened as a {kind.__name__}. Received: {preset} "
            f"({str(error).splitlines()[0]}). Give a folder that `save_to_preset` "
            "wrote, or a name from the keras-hub page of pretrained models."
        ) from error


def _preset_scaling(preset: str | Path) -> dict[str, Any]:
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(str(preset))
    except (ValueError, FileNotFoundError):  # The preset has no image converter.
        return {}
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return {"scale": _plain(scale), "offset": _plain(offset)}


def _plain(value: Any) -> Any:
    return [float(v) for v in value] if hasattr(value, "__len__") else float(value)
