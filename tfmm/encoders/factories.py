"""Encoders of media by name: of a given size, around a preset or your own model."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import keras_hub

from tfmm.encoders.image_encoder import ImageEncoder, image_tower
from tfmm.encoders.own_models import check_copies, check_vocabulary
from tfmm.encoders.pictures import MAX_PIXELS
from tfmm.encoders.preset_tokens import PresetTokens
from tfmm.encoders.presets import (
    PICTURE_SIDE,
    image_half,
    open_preset,
    open_side,
    own_length,
    preset_converter,
    scaling,
    text_half,
)
from tfmm.encoders.sizes import image_backbone, text_backbone
from tfmm.encoders.text_encoder import TextEncoder, text_tower
from tfmm.encoders.titles import WordPieces
from tfmm.encoders.vocabulary import learn_vocabulary
from tfmm.errors import TfmmError

_TITLE_TOKENS = 24


def image(
    size: str = "micro",
    *,
    model: keras.Model | None = None,
    dimension: int | None = 64,
    image_size: int | None = None,
    scale: float | list[float] | None = 1 / 127.5,
    offset: float | list[float] = -1.0,
    max_pixels: int = MAX_PIXELS,
) -> ImageEncoder:
    """A picture encoder of a given size with random weights, or around your own model.

    Your model takes one batch of square RGB pictures `[B, S, S, 3]` and gives a map
    `[B, h, w, c]`, tokens `[B, n, c]` (both are averaged) or vectors `[B, c]`. A model
    of floats is given `scale * pixel + offset`, pixels running from 0 to 255; one
    whose input is of integers is given the pixels. It is used, not copied, and must be
    able to be built again from its configuration.

    Args:
        size: `"micro"` (seconds on a CPU), `"tiny"`, `"small"` or `"base"` (ViT's own).
        model: Your own Keras model in place of `size`.
        dimension: Length d of the vectors; `None` (own models only) takes the model's
            vectors as they are, without a projection.
        image_size: Side S of the square that pictures are fitted into. Defaults to 64,
            or what your model fixes.
        scale: Of pixels for your own model; `None` if it scales pixels itself.
        offset: Of pixels for your own model.
        max_pixels: Pictures with more pixels count as absent.

    Raises:
        TfmmError: If the size is unknown, `image_size` no multiple of its patch, or
            your model's input or output is none of the above.

    Example:
        >>> import tfmm
        >>> tfmm.encoders.image("micro", dimension=16).tower.output_shape
        (None, 16)
        >>> mine = keras.Sequential(
        ...     [keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3)])
        >>> tfmm.encoders.image(model=mine, dimension=8).tower.input_shape
        (None, 32, 32, 3)
    """
    if model is not None:
        tower = image_tower(model, dimension, scale, offset, image_size)
        check_copies(model)
    else:
        side = PICTURE_SIDE if image_size is None else image_size
        tower = image_tower(image_backbone(size, side), _needed(dimension))
    return ImageEncoder(tower, max_pixels)


def text(
    size: str = "micro",
    *,
    model: keras.Model | None = None,
    titles: Iterable[str | bytes] | None = None,
    vocabulary: Sequence[str] | str | Path | None = None,
    dimension: int | None = 64,
    sequence_length: int = _TITLE_TOKENS,
    vocabulary_size: int = 8_000,
) -> TextEncoder:
    """A title encoder of a given size with random weights, or around your own model.

    Your model takes token ids int32 `[B, T]` (0 fills), alone or in a dict as
    `token_ids` with `padding_mask` and `segment_ids`, and gives a sequence `[B, T, c]`
    (averaged over the title's tokens) or vectors `[B, c]`. Its embedding needs a row
    for each piece of the vocabulary. It is used, not copied, and must be able to be
    built again from its configuration.

    Args:
        size: `"micro"` (seconds on a CPU), `"tiny"`, `"small"` or `"base"` (BERT's).
        model: Your own Keras model in place of `size`.
        titles: The shop's titles, to learn the word pieces from.
        vocabulary: The word pieces, or a file with one per line, instead of `titles`.
        dimension: Length d of the vectors; `None` (own models only) takes the model's
            vectors as they are, without a projection.
        sequence_length: Tokens T of a title, two marks included; what follows is cut.
        vocabulary_size: Word pieces to learn from `titles`.

    Raises:
        TfmmError: If the size is unknown, not exactly one of `titles` and `vocabulary`
            is given, or your model's input, output or embedding does not fit.

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
    pieces = len(tokens.vocabulary)
    if model is not None:
        tower = text_tower(model, dimension, sequence_length)
        check_vocabulary(tower, pieces)
        check_copies(model)
    else:
        backbone = text_backbone(size, pieces, sequence_length)
        tower = text_tower(backbone, _needed(dimension), sequence_length)
    return TextEncoder(tower, tokens)


def image_from_preset(
    preset: str | Path,
    *,
    dimension: int | None = 64,
    image_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> ImageEncoder:
    """A picture encoder around a pretrained keras-hub backbone.

    Any picture backbone will do (ViT, ResNet, EfficientNet, MobileNet, DINO, ...), and
    the picture half of CLIP and SigLIP. Pixels are scaled as the preset's image
    converter says, else to [-1, 1].

    Args:
        preset: A local preset folder, or a hub's name (needs the network), e.g.
            `"vit_base_patch16_224_imagenet"`.
        dimension: Length d of the vectors; the projection starts at random. `None`
            takes the backbone's own (CLIP's and SigLIP's embedding, or the mean).
        image_size: Side S of the pictures, where the backbone leaves it open. Defaults
            to that of the preset's image converter, else 64.
        max_pixels: Pictures with more pixels count as absent.

    Raises:
        TfmmError: If the preset cannot be opened or holds no such backbone.
    """
    backbone = image_half(open_preset(keras_hub.models.Backbone, preset))
    converter = preset_converter(preset)
    side = image_size or open_side(backbone, converter)
    tower = image_tower(backbone, dimension, **scaling(converter), image_size=side)
    return ImageEncoder(tower, max_pixels)


def text_from_preset(
    preset: str | Path,
    *,
    dimension: int | None = 64,
    sequence_length: int | None = None,
) -> TextEncoder:
    """A title encoder around a pretrained keras-hub backbone and its tokenizer.

    Any encoder of whole sequences will do (BERT, RoBERTa, DistilBERT, ...), and the
    text half of CLIP and SigLIP.

    Args:
        preset: A local preset folder, or a hub's name (needs the network), e.g.
            `"bert_tiny_en_uncased"`.
        dimension: Length d of the vectors; the projection starts at random. `None`
            takes the backbone's own (CLIP's and SigLIP's embedding, or the mean).
        sequence_length: Tokens T of a title. Defaults to 24, to SigLIP's own length.

    Raises:
        TfmmError: If the preset cannot be opened or holds no such backbone.
    """
    backbone = open_preset(keras_hub.models.Backbone, preset)
    tokenizer = open_preset(keras_hub.tokenizers.Tokenizer, preset)
    length = sequence_length or own_length(backbone) or _TITLE_TOKENS
    tokens = PresetTokens(tokenizer, length)
    tower = text_tower(text_half(backbone), dimension, length, tokens.pad_id)
    return TextEncoder(tower, tokens)


def _needed(dimension: int | None) -> int:
    if dimension is None:
        raise TfmmError(
            "A tower that starts from nothing needs its vectors' length. Received: "
            "dimension=None. Give a `dimension`, such as 64."
        )
    return dimension
