"""One vector of an item's picture and title together."""

from pathlib import Path
from typing import Any, Self

import keras
import tensorflow as tf
from keras import ops

from tfmm.encoders.encoder import Encoder
from tfmm.encoders.layers import AbsentVector
from tfmm.encoders.tower import Tower
from tfmm.errors import TfmmError


class FusionEncoder(Encoder):
    """The vectors of picture and title to one unit vector, present where either is.

    Args:
        tower: From `[image_vector [B, d1], text_vector [B, d2], has_image bool [B],
            has_text bool [B]]` to float32 `[B, d]`; see `fusion_tower`.

    Example:
        >>> import tfmm
        >>> encoder = FusionEncoder(fusion_tower(4, 2, dimension=3))
        >>> yes, no = tf.constant([True]), tf.constant([False])
        >>> fused = encoder.tower([tf.ones([1, 4]), tf.zeros([1, 2]), yes, no])
        >>> fused.shape.as_list(), encoder.present(yes, no).numpy().tolist()
        ([1, 3], [True])
    """

    modality = "fused"

    def present(self, has_image: Any, has_text: Any) -> tf.Tensor:
        """Where there is a fused vector, bool `[B]`: where either part is."""
        return tf.convert_to_tensor(has_image) | tf.convert_to_tensor(has_text)

    @classmethod
    def _assemble(
        cls, tower: keras.Model, config: dict[str, Any], folder: Path
    ) -> Self:
        return cls(tower)


def fusion(image: Any, text: Any, *, dimension: int = 64) -> FusionEncoder:
    """A fusion of two encoders' vectors, with random weights, to be trained.

    Args:
        image: The picture encoder.
        text: The title encoder.
        dimension: Length d of the fused vectors.

    Raises:
        TfmmError: If one is missing or of another modality.

    Example:
        >>> import tfmm
        >>> image = tfmm.encoders.image("micro", dimension=16)
        >>> text = tfmm.encoders.text("micro", titles=["hat"], dimension=8)
        >>> tfmm.encoders.fusion(image, text, dimension=12).dimension
        12
    """
    for name, encoder in (("image", image), ("text", text)):
        if (modality := getattr(encoder, "modality", None)) != name:
            raise TfmmError(
                f"A fusion joins an image and a text encoder. Expected: `{name}` of "
                f"modality {name!r}. Received: {modality!r}. Make both first."
            )
    return FusionEncoder(fusion_tower(image.dimension, text.dimension, dimension))


def fusion_tower(image_dimension: int, text_dimension: int, dimension: int) -> Tower:
    """`unit(W2 gelu(W1 [image; text]))`, learned vectors in place of absent ones.

    Args:
        image_dimension: Length d1 of the picture's vector.
        text_dimension: Length d2 of the title's vector.
        dimension: Length d of the fused vector.
    """
    inputs = [
        keras.Input((image_dimension,), dtype="float32", name="image_vector"),
        keras.Input((text_dimension,), dtype="float32", name="text_vector"),
        keras.Input((), dtype="bool", name="has_image"),
        keras.Input((), dtype="bool", name="has_text"),
    ]
    picture = AbsentVector(name="absent_image")(inputs[0], inputs[2])
    title = AbsentVector(name="absent_text")(inputs[1], inputs[3])
    x = ops.concatenate([picture, title], axis=-1)
    x = keras.layers.Dense(2 * dimension, activation="gelu", name="hidden")(x)
    x = keras.layers.Dense(dimension, name="projection")(x)
    vector = keras.layers.UnitNormalization(dtype="float32", name="vector")(x)
    return Tower(inputs, vector, name="fusion_tower")
