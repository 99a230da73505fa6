"""Pictures to unit vectors."""

from pathlib import Path
from typing import Any, Self

import keras
import tensorflow as tf

from tfmm.encoders.encoder import Encoder
from tfmm.encoders.pictures import MAX_PIXELS, decode_pictures


class ImageEncoder(Encoder):
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
    dimension: int,
    scale: float | list[float] = 1 / 127.5,
    offset: float | list[float] = -1.0,
) -> keras.Model:
    """Rescaling, backbone, mean over positions, projection, length one.

    Args:
        backbone: From `[B, S, S, 3]` to a map `[B, h, w, c]` or tokens `[B, n, c]`.
        dimension: Length d of the vectors.
        scale: What a pixel (0 to 255) is multiplied with, per channel or one for all.
        offset: What is added then.

    Returns:
        A Keras model from uint8 `[B, S, S, 3]` to float32 `[B, d]`.
    """
    pixels = keras.Input(backbone.input_shape[1:], dtype="uint8", name="pixels")
    x = keras.layers.Rescaling(scale, offset, name="rescaling")(pixels)
    x = backbone(x)
    pooling = (
        keras.layers.GlobalAveragePooling1D
        if len(x.shape) == 3
        else keras.layers.GlobalAveragePooling2D
    )
    x = pooling(name="pooling")(x)
    x = keras.layers.Dense(dimension, name="projection")(x)
    vector = keras.layers.UnitNormalization(dtype="float32", name="vector")(x)
    return keras.Model(pixels, vector, name="image_tower")
