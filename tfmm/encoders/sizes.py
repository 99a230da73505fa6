"""The sizes of towers that are built from nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import keras
import keras_hub

from tfmm.errors import TfmmError


@dataclass(frozen=True)
class Size:
    """Measures of a transformer.

    Args:
        num_layers: Blocks.
        num_heads: Attention heads per block.
        hidden_dim: Width.
        mlp_dim: Width inside a block's MLP.
    """

    num_layers: int
    num_heads: int
    hidden_dim: int
    mlp_dim: int


SIZES: Mapping[str, Size] = {
    "micro": Size(2, 4, 64, 128),
    "tiny": Size(6, 3, 192, 768),
    "small": Size(12, 6, 384, 1536),
    "base": Size(12, 12, 768, 3072),
}
MICRO_FILTERS = (16, 32, 64, 96)
PATCH = 16


def image_backbone(size: str, image_size: int) -> keras.Model:
    """A picture backbone with random weights.

    `micro` is a convolutional net in VGG's manner, which learns from few pictures and
    has no batch statistics that a momentum copy would have to follow. The others are
    vision transformers.

    Args:
        size: A key of `SIZES`.
        image_size: Side of the square pictures; for transformers a multiple of 16.

    Raises:
        TfmmError: If the size is unknown or does not go with `image_size`.
    """
    measures = _measures(size)
    if size == "micro":
        return _convolutions(image_size)
    if image_size <= 0 or image_size % PATCH:
        raise TfmmError(
            f"`image_size` must be a multiple of {size!r}'s patch of {PATCH} pixels. "
            f"Received: {image_size}. Use {max(1, round(image_size / PATCH)) * PATCH}."
        )
    return keras_hub.models.ViTBackbone(
        image_shape=(image_size, image_size, 3), patch_size=PATCH, **measures
    )


def _convolutions(image_size: int) -> keras.Model:
    halvings = len(MICRO_FILTERS)
    if image_size < 2**halvings:
        raise TfmmError(
            f"`image_size` must be at least {2**halvings}, for 'micro' halves it "
            f"{halvings} times. Received: {image_size}. Try 64."
        )
    pixels = x = keras.Input((image_size, image_size, 3))
    for number, filters in enumerate(MICRO_FILTERS, start=1):
        block = f"block{number}"
        x = keras.layers.Conv2D(
            filters, 3, padding="same", activation="relu", name=f"{block}_conv1"
        )(x)
        x = keras.layers.MaxPooling2D(name=f"{block}_pool")(x)
    # No `VGGBackbone`: its configuration forgets the layers' precision.
    return keras.Model(pixels, x, name="micro")


def text_backbone(size: str, vocabulary_size: int, sequence_length: int) -> keras.Model:
    """A BERT encoder with random weights.

    Args:
        size: A key of `SIZES`.
        vocabulary_size: Number of token ids.
        sequence_length: Most tokens of a title.

    Raises:
        TfmmError: If the size is unknown.
    """
    measures = _measures(size)
    return keras_hub.models.BertBackbone(
        vocabulary_size=vocabulary_size,
        intermediate_dim=measures.pop("mlp_dim"),
        max_sequence_length=sequence_length,
        **measures,
    )


def _measures(size: str) -> dict[str, Any]:
    if size not in SIZES:
        raise TfmmError(
            f"There is no size {size!r}. Received: {size!r}. Use one of "
            f"{', '.join(SIZES)}, or a pretrained tower (`from_preset`)."
        )
    return asdict(SIZES[size])
