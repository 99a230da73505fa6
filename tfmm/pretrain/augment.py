"""Light augmentation of product pictures, one batched op per effect."""

import tensorflow as tf


def augment_pictures(
    pictures: tf.Tensor,
    seed: tf.Tensor,
    crop: float = 0.15,
    brightness: float = 0.1,
    flip: bool = True,
) -> tf.Tensor:
    """Crops, mirrors and brightens each picture a little, at random.

    Hue is left alone: colour is often what a shopper looks for.

    Args:
        pictures: uint8 `[B, S, S, 3]`.
        seed: int `[2]`; the same seed gives the same pictures.
        crop: The largest share cut off along each axis.
        brightness: The largest relative change of brightness.
        flip: Whether half of the pictures are mirrored.

    Returns:
        uint8 `[B, S, S, 3]`.

    Example:
        >>> grey = tf.fill([2, 8, 8, 3], tf.constant(100, tf.uint8))
        >>> pictures = augment_pictures(grey, tf.constant([1, 2]), brightness=0.0)
        >>> pictures.shape.as_list(), int(tf.reduce_min(pictures))
        ([2, 8, 8, 3], 100)
    """
    count = tf.shape(pictures)[0]
    # Columns: top, left, height, width, mirrored?, brightness.
    random = tf.random.stateless_uniform([count, 6], seed)
    extent = 1.0 - crop * random[:, 2:4]
    start = random[:, :2] * (1.0 - extent)
    end = start + extent
    mirrored = (random[:, 4] < 0.5) & flip
    left = tf.where(mirrored, end[:, 1], start[:, 1])
    right = tf.where(mirrored, start[:, 1], end[:, 1])
    boxes = tf.stack([start[:, 0], left, end[:, 0], right], axis=-1)
    size = tf.shape(pictures)[1:3]
    cut = tf.image.crop_and_resize(pictures, boxes, tf.range(count), size)
    light = 1.0 + brightness * (2.0 * random[:, 5] - 1.0)
    bright = tf.clip_by_value(cut * light[:, None, None, None], 0.0, 255.0)
    result = tf.cast(tf.round(bright), tf.uint8)
    return tf.ensure_shape(result, pictures.shape)
