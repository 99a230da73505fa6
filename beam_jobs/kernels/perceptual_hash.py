"""A hash of what a picture looks like."""

import numpy as np
from PIL import Image

_SIDE = 32
_FREQUENCIES = 20
# Grey levels; pictures with less contrast all look alike.
_FLAT = 2.0


def _waves() -> np.ndarray:
    """float32 `[frequencies, side]`, the cosine waves of a DCT."""
    middles = np.arange(_SIDE) + 0.5
    frequencies = np.arange(_FREQUENCIES)[:, np.newaxis]
    return np.cos(np.pi * frequencies * middles / _SIDE).astype(np.float32)


def _bits() -> tuple[np.ndarray, np.ndarray]:
    """int `[3, 256]`: channel, row and column of each bit's coefficient.

    And float `[256]`, what it must exceed: smaller waves of colour are noise, and a
    grey picture has nothing else.
    """
    rows, columns = np.indices((_FREQUENCIES, _FREQUENCIES)).reshape(2, -1)
    order = np.lexsort((rows, rows + columns))
    places, least = [], []
    # Lightness without its mean, blue against yellow, red against green.
    for channel, first, count, noise in (
        (0, 1, 192, 0),
        (1, 0, 32, 64),
        (2, 0, 32, 64),
    ):
        lowest = order[first : first + count]
        channels = np.full(count, channel)
        places.append(np.stack([channels, rows[lowest], columns[lowest]]))
        least.append(np.full(count, float(noise)))
    return np.concatenate(places, axis=1), np.concatenate(least)


_WAVES = _waves()
_PLACES, _LEAST = _bits()


def perceptual_hash(image: Image.Image) -> bytes:
    """32 bytes that differ in few bits for pictures that look alike.

    Resized, recompressed and slightly cropped copies of a picture get near hashes. The
    picture is shrunk to 32 x 32, and each bit is the sign of one coefficient of its
    discrete cosine transform, as in pHash; but there are 256 bits, a quarter of them
    for colour: in 64 bits of lightness, most product photos on white that agree show
    different products, or the same one in another colour.

    Args:
        image: RGB.

    Returns:
        The hash; empty for a picture without contrast, which is like no other.

    Example:
        >>> grains = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
        >>> photo = Image.fromarray(grains).resize((96, 96))
        >>> copy = photo.resize((80, 80))
        >>> one, other = (int.from_bytes(perceptual_hash(x)) for x in (photo, copy))
        >>> (one ^ other).bit_count() < 16
        True
        >>> perceptual_hash(Image.new("RGB", (64, 64), "white"))
        b''
    """
    sides = (_SIDE, _SIDE)
    small = image.resize(sides, Image.Resampling.BILINEAR, reducing_gap=2.0)
    pixels = np.asarray(small.convert("YCbCr"), np.float32).transpose(2, 0, 1) - 128
    if pixels[0].std() < _FLAT:
        return b""
    waves = _WAVES @ pixels @ _WAVES.T
    return np.packbits(waves[tuple(_PLACES)] > _LEAST).tobytes()
