import io

import numpy as np
import pytest
from PIL import Image
from sample_pictures import encoded, plain

from beam_jobs.kernels.perceptual_hash import perceptual_hash
from beam_jobs.kernels.pictures import picture


def distance(one, other):
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def photo(seed, size=(200, 150)):
    """Shapes of every size, the small ones fainter, as in photographs."""
    rng = np.random.default_rng(seed)
    pixels = np.full((*size[::-1], 3), 128.0)
    for side in (4, 8, 16, 32):
        rough = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
        smooth = np.asarray(rough.resize(size, Image.Resampling.BICUBIC), float)
        pixels += (smooth - 128) * 2 / side
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def compressed(image):
    return Image.open(io.BytesIO(encoded(image, quality=60)))


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_near_and_others_are_not(seed):
    image = photo(seed)
    own = perceptual_hash(image)
    assert len(own) == 32
    for copy in (
        compressed(image),
        image.resize((100, 75), Image.Resampling.LANCZOS),
        compressed(image.resize((160, 120))),
        image.crop((1, 1, 199, 150)),
    ):
        assert distance(own, perceptual_hash(copy)) <= 16
    for other in (
        photo(seed + 100),
        image.transpose(Image.Transpose.ROTATE_180),
        Image.merge("RGB", image.split()[::-1]),  # Red for blue.
    ):
        assert distance(own, perceptual_hash(other)) > 40


@pytest.mark.parametrize("color", ["white", "black", "red", (254, 255, 255)])
def test_a_picture_without_contrast_is_like_no_other(color):
    image = plain((60, 60), color)
    assert perceptual_hash(image) == b""
    assert perceptual_hash(compressed(image)) == b""
    image.putpixel((30, 30), (0, 0, 0))
    assert perceptual_hash(image) == b""


def test_noise_that_shrinks_to_grey_is_no_contrast():
    rng = np.random.default_rng(0)
    grains = rng.integers(0, 256, (1024, 1024, 1), np.uint8).repeat(3, axis=2)
    assert perceptual_hash(Image.fromarray(grains // 8 + 100)) == b""


def test_a_record_s_hash_is_of_the_upright_picture_on_white():
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = photo(1).transpose(Image.Transpose.ROTATE_90)
    made = picture(encoded(sideways, exif=exif, quality=95), 224, 10**6)
    assert distance(made.look, perceptual_hash(photo(1))) <= 8
    unseen = Image.new("RGBA", (50, 50), (255, 0, 0, 0))
    unseen.paste((0, 255, 0, 0), (10, 10, 30, 30))
    assert picture(encoded(unseen, "PNG"), 224, 10**6).look == b""
    assert picture(b"", 224, 10**6).look == b""
