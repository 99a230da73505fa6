"""Picture bytes to pixels as TensorFlow graph ops: for tf.data and for the server."""

import tensorflow as tf

MAX_PIXELS = 50_000_000
# Tuning itself would cost more than a small picture's decoding.
_DECODERS = 16
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"


def decode_pictures(
    picture: tf.Tensor, size: int, max_pixels: int = MAX_PIXELS
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes, converts to RGB and fits JPEG and PNG pictures into a square.

    The picture keeps its proportions and is centred on black (antialiased bilinear);
    transparency is laid on white (except in PNGs of fewer than 8 bits, where it is
    ignored), grey and CMYK become RGB. A picture that is empty,
    of another format, damaged or larger than `max_pixels` is absent: its pixels are
    zeros and it never disturbs its neighbours in the batch. A JPEG whose end is cut
    off keeps the part that is there.

    EXIF orientation is not applied: orient photographs before they come here.

    Args:
        picture: string `[B]`, file contents.
        size: Side S of the square.
        max_pixels: Height times width above which a picture is not decoded; read from
            its header, so that a small file cannot fill the memory.

    Returns:
        uint8 `[B, S, S, 3]`, and bool `[B]`: which pictures are present.

    Example:
        >>> red = tf.io.encode_png(tf.constant([[[255, 0, 0]]], tf.uint8))
        >>> pixels, present = decode_pictures(tf.stack([red, b"", b"text"]), size=2)
        >>> pixels[0, 0, 0].numpy().tolist(), present.numpy().tolist()
        ([255, 0, 0], [True, False, False])
    """
    batch = tf.size(picture)
    rows = tf.range(batch)
    # Datasets are the one place in a graph where a failing op drops an element
    # instead of failing the call. All of these ops are in the stock server.
    decoded = (
        tf.data.Dataset.from_tensor_slices((rows, picture))
        .map(
            lambda row, data: (row, _decode(data, size, max_pixels)),
            num_parallel_calls=_DECODERS,
        )
        .ignore_errors()
    )
    sentinel = (batch, tf.zeros([size, size, 3], tf.uint8))
    found, pixels = (
        decoded.concatenate(tf.data.Dataset.from_tensors(sentinel))
        .batch(tf.cast(batch, tf.int64) + 1)
        .get_single_element()
    )
    # Where each row's pixels are; absent rows take the sentinel's, which come last.
    last = tf.size(found) - 1
    place = tf.tensor_scatter_nd_update(
        tf.fill([batch + 1], last), found[:, tf.newaxis], tf.range(last + 1)
    )[:batch]
    pixels = tf.ensure_shape(tf.gather(pixels, place), [None, size, size, 3])
    return pixels, place < last


def _decode(data: tf.Tensor, size: int, max_pixels: int) -> tf.Tensor:
    """One picture as uint8 `[size, size, 3]`; any failing op means: absent."""
    is_png = tf.strings.substr(data, 0, len(_PNG)) == _PNG
    is_jpeg = tf.strings.substr(data, 0, len(_JPEG)) == _JPEG
    with tf.control_dependencies([tf.debugging.Assert(is_png | is_jpeg, ["format"])]):
        area = tf.cond(is_png, lambda: _png_area(data), lambda: _jpeg_area(data))
    with tf.control_dependencies([tf.debugging.Assert(area <= max_pixels, [area])]):
        rgb = tf.cond(is_png, lambda: _decode_png(data), lambda: _decode_jpeg(data))
    return tf.cast(tf.round(tf.clip_by_value(_fit(rgb, size), 0, 255)), tf.uint8)


def _fit(rgb: tf.Tensor, size: int) -> tf.Tensor:
    """Like tf.image.resize_with_pad, which fails where a side would shrink to 0."""
    sides = tf.shape(rgb)[:2]
    scale = size / tf.reduce_max(sides)
    fitted = tf.cast(tf.round(tf.cast(sides, tf.float64) * scale), tf.int32)
    fitted = tf.maximum(fitted, 1)
    before = (size - fitted) // 2
    after = size - fitted - before
    # Item records hold pictures of the right size: resampling them would change no
    # pixel and cost twice their decoding.
    resized = tf.cond(
        tf.reduce_all(fitted == sides),
        lambda: rgb,
        lambda: tf.image.resize(rgb, fitted, antialias=True),
    )
    padding = tf.concat([tf.stack([before, after], 1), [[0, 0]]], 0)
    return tf.ensure_shape(tf.pad(resized, padding), [size, size, 3])


def _png_area(data: tf.Tensor) -> tf.Tensor:
    """Width times height from the IHDR chunk, two big-endian 32-bit numbers."""
    octets = tf.io.decode_raw(tf.strings.substr(data, 16, 8), tf.uint8)
    octets = tf.reshape(tf.cast(octets, tf.int64), [2, 4])
    sides = tf.reduce_sum(octets * [1 << 24, 1 << 16, 1 << 8, 1], axis=1)
    return sides[0] * sides[1]


def _jpeg_area(data: tf.Tensor) -> tf.Tensor:
    sides = tf.image.extract_jpeg_shape(data, output_type=tf.int32)[:2]
    return tf.reduce_prod(tf.cast(sides, tf.int64))


def _decode_png(data: tf.Tensor) -> tf.Tensor:
    bits = tf.io.decode_raw(tf.strings.substr(data, 24, 1), tf.uint8)[0]
    # Below 8 bits the operation fills a missing alpha channel with 2**bits - 1.
    return tf.cond(
        bits < 8,
        lambda: tf.cast(tf.io.decode_png(data, channels=3), tf.float32),
        lambda: _on_white(tf.io.decode_png(data, channels=4)),
    )


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    rgba = tf.cast(pixels, tf.float32)
    alpha = rgba[..., 3:] / 255.0
    return rgba[..., :3] * alpha + 255.0 * (1.0 - alpha)


def _decode_jpeg(data: tf.Tensor) -> tf.Tensor:
    rgb = tf.io.decode_jpeg(data, channels=3, try_recover_truncated=True)
    return tf.cast(rgb, tf.float32)
