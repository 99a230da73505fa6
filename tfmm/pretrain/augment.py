"""Augmentation of product pictures that keeps what a shopper looks for."""

import tensorflow as tf

# Columns of the random numbers: top, left, height, width, mirrored?, brightness,
# contrast, saturation.
_DRAWS = 8
_GREY = (0.299, 0.587, 0.114)  # Rec. 601 luma
_LARGEST_CROP = 0.9


def augment_pictures(
    pictures: tf.Tensor,
    seed: tf.Tensor,
    crop: float = 0.15,
    brightness: float = 0.1,
    contrast: float = 0.1,
    saturation: float = 0.1,
    flip: bool = True,
    strength: float = 1.0,
) -> tf.Tensor:
    """Crops, mirrors and lights each picture a little, at random.

    Hue is left alone: colour is often what a shopper looks for. With l, c and s drawn
    evenly from `1 - x` to `1 + x`, g(v) the grey of a pixel v and m the mean grey of
    the picture, a pixel becomes

        v' = l * (m + c * (g(v) - m + s * (v - g(v))))

    so that the differences of its channels only scale. Every picture has draws of its
    own, also where two in the batch are the same.

    Args:
        pictures: uint8 `[B, S, S, 3]`.
        seed: int `[2]`; the same seed gives the same pictures.
        crop: The largest share cut off along each axis.
        brightness: The largest relative change of brightness.
        contrast: The largest relative change of contrast.
        saturation: The largest relative change of saturation.
        flip: Whether half of the pictures are mirrored.
        strength: Multiplies `crop`, `brightness`, `contrast` and `saturation`. About 4
            is what training without searches needs (SimCLR), where augmentation alone
            makes the pairs.

    Returns:
        uint8 `[B, S, S, 3]`.

    Example:
        >>> grey = tf.fill([2, 8, 8, 3], tf.constant(100, tf.uint8))
        >>> pictures = augment_pictures(grey, tf.constant([1, 2]), brightness=0.0)
        >>> pictures.shape.as_list(), int(tf.reduce_min(pictures))
        ([2, 8, 8, 3], 100)
    """
    random = tf.random.stateless_uniform([tf.shape(pictures)[0], _DRAWS], seed)
    cut = _cut(pictures, random, min(crop * strength, _LARGEST_CROP), flip)
    largest = [min(x * strength, 1.0) for x in (brightness, contrast, saturation)]
    factors = 1.0 + largest * (2.0 * random[:, 5:] - 1.0)
    lit = tf.clip_by_value(_lit(cut, factors), 0.0, 255.0)
    return tf.ensure_shape(tf.cast(tf.round(lit), tf.uint8), pictures.shape)


def _cut(pictures: tf.Tensor, random: tf.Tensor, crop: float, flip: bool) -> tf.Tensor:
    """Boxes of the pictures in the pictures' size, float32."""
    extent = 1.0 - crop * random[:, 2:4]
    start = random[:, :2] * (1.0 - extent)
    end = start + extent
    mirrored = (random[:, 4] < 0.5) & flip
    left = tf.where(mirrored, end[:, 1], start[:, 1])
    right = tf.where(mirrored, start[:, 1], end[:, 1])
    boxes = tf.stack([start[:, 0], left, end[:, 0], right], axis=-1)
    count, size = tf.shape(pictures)[0], tf.shape(pictures)[1:3]
    return tf.image.crop_and_resize(pictures, boxes, tf.range(count), size)


def _lit(pictures: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Pictures of other brightness, contrast and saturation, float32 `[B, 3]`."""
    light, contrast, saturation = tf.unstack(factors[:, None, None, None, :], axis=-1)
    grey = tf.reduce_sum(pictures * _GREY, axis=-1, keepdims=True)
    mean = tf.reduce_mean(grey, axis=(1, 2), keepdims=True)
    # The formula of `augment_pictures`, sorted by what is multiplied once a pixel.
    offset = light * (contrast * (1.0 - saturation) * grey + (1.0 - contrast) * mean)
    return light * contrast * saturation * pictures + offset
