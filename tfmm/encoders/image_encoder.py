"""Pictures to unit vectors."""

from pathlib import Path
from typing import Any, Self

import keras
import tensorflow as tf

from tfmm.encoders.backbones import (
    call_backbone,
    picture_input,
    pooled,
    unit_head,
)
from tfmm.encoders.media_encoder import MediaEncoder
from tfmm.encoders.pictures import MAX_PIXELS, decode_pictures
from tfmm.encoders.tower import Tower


class ImageEncoder(MediaEncoder):
    """JPEG and PNG files to unit vectors.

    Args:
        tower: From uint8 `[B, S, S, 3]` to float32 `[B, d]`; see `image_tower`.
        max_pixels: Pictures with more pixels count as absent.

    Example:
        >>> import tfmm
        >>> encoder = tfmm.encoders.image("micro", dimension=8, image_size=32)
        >>> pixels, present = encoder.read(tf.constant([b""]))
        >>> pixels.shape.as_list(), present.numpy().tolist()
        ([1, 32, 32, 3], [False])
        >>> encoder.tower(pixels).shape.as_list()
        [1, 8]
    """

    modality = "image"

    def __init__(self, tower: keras.Model, max_pixels: int = MAX_PIXELS) -> None:
        super().__init__(tower)
        self.max_pixels = max_pixels
        self._graph = tf.function(
            self._read, input_signature=[tf.TensorSpec([None], tf.string)]
        )

    @property
    def image_size(self) -> int:
        """Side S of the square that pictures are fitted into."""
        return self.tower.input_shape[1]

    def read(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Pixels uint8 `[B, S, S, 3]`, and which files are usable, bool `[B]`."""
        return self._graph(raw)

    def _read(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return decode_pictures(raw, self.image_size, self.max_pixels)

    def _config(self) -> dict[str, Any]:
        return {"image_size": self.image_size, "max_pixels": self.max_pixels}

    @classmethod
    def _assemble(
        cls, tower: keras.Model, config: dict[str, Any], folder: Path
    ) -> Self:
        return cls(tower, config["max_pixels"])


def image_tower(
    backbone: keras.Model,
    dimension: int | None,
    scale: float | list[float] | None = 1 / 127.5,
    offset: float | list[float] = -1.0,
    image_size: int | None = None,
) -> Tower:
    """Rescaling, backbone, mean over positions, projection, length one.

    Args:
        backbone: From `[B, S, S, 3]`, alone or under one name, to a map `[B, h, w, c]`,
            tokens `[B, n, c]` or vectors `[B, c]`. One that takes integers is given
            the pixels (0 to 255) as they are.
        dimension: Length d of the vectors; `None` leaves the projection out.
        scale: What a pixel (0 to 255) is multiplied with, per channel or one for all;
            `None` gives the pixels as floats from 0 to 255.
        offset: What is added then.
        image_size: Side S, where the backbone leaves it open.

    Returns:
        A tower from uint8 `[B, S, S, 3]` to float32 `[B, d]`.

    Raises:
        TfmmError: If the backbone's input is no square picture of three channels or
            its output none of the above.
    """
    side, dtype = picture_input(backbone, image_size)
    pixels = keras.Input((side, side, 3), dtype="uint8", name="pixels")
    x = pixels
    if dtype.startswith(("int", "uint")):
        x = pixels if dtype == "uint8" else keras.ops.cast(pixels, dtype)
    elif scale is not None:
        # In float32 whatever the policy: bfloat16 would blur the pixels' steps.
        x = keras.layers.Rescaling(scale, offset, dtype="float32", name="rescaling")(x)
    else:
        x = keras.ops.cast(pixels, "float32")
    found = call_backbone(backbone, {"images": x})
    return Tower(pixels, unit_head(pooled(found), dimension), name="image_tower")
