"""Pictures decoded in the graph: what is accepted, and what must not do harm."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfmm.encoders.pictures import decode_pictures

RED = (255, 0, 0)


def _file(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _photo(height=40, width=40, mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


# Traced once: a test decodes hundreds of times.
_decode = tf.function(decode_pictures)


def _one(data, size=8, **options):
    pixels, present = _decode(tf.constant([data]), size, **options)
    return pixels.numpy()[0], bool(present.numpy()[0])


def _with_sides(png, width, height):
    return png[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + png[24:]


JPEG = _file(_photo(), "JPEG")
PNG = _file(_photo())

UNUSABLE = {
    "empty": b"",
    "text": b"not a picture",
    "gif": _file(_photo(9, 9, "P"), "GIF"),
    "webp": _file(_photo(), "WEBP"),
    "bmp": _file(_photo(), "BMP"),
    "png_signature_only": PNG[:8],
    "png_header_cut": PNG[:20],
    "png_cut": PNG[: len(PNG) // 2],
    "png_damaged": PNG[:200] + bytes(100) + PNG[300:],
    "png_of_900_million_pixels": _with_sides(PNG, 30_000, 30_000),
    "png_of_no_pixels": _with_sides(PNG, 0, 5),
    "png_of_huge_sides": _with_sides(PNG, 2**32 - 1, 2**32 - 1),
    "jpeg_signature_only": JPEG[:3],
    "jpeg_header_cut": JPEG[:40],
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_picture_is_absent_and_black(name):
    pixels, present = _one(UNUSABLE[name])
    assert not present
    assert not pixels.any()


def test_bad_pictures_leave_their_neighbours_alone():
    files = [PNG, *UNUSABLE.values(), JPEG]
    pixels, present = decode_pictures(tf.constant(files), 8)
    assert present.numpy().tolist() == [True, *[False] * len(UNUSABLE), True]
    np.testing.assert_array_equal(pixels[0], _one(PNG)[0])
    np.testing.assert_array_equal(pixels[-1], _one(JPEG)[0])


def test_all_bad_and_no_pictures():
    pixels, present = decode_pictures(tf.constant([b"", b"x"]), 8)
    assert pixels.shape == (2, 8, 8, 3)
    assert present.numpy().tolist() == [False, False]
    pixels, present = decode_pictures(tf.constant([], tf.string), 8)
    assert pixels.shape == (0, 8, 8, 3)
    assert present.shape == (0,)


@pytest.mark.parametrize(
    "data",
    [
        _file(Image.new("L", (8, 8), 90)),
        _file(Image.new("L", (8, 8), 90), "JPEG"),
        _file(Image.fromarray(np.full((8, 8), 90 * 257, np.uint16))),
    ],
    ids=["grey_png", "grey_jpeg", "png_of_16_bits"],
)
def test_grey_becomes_three_equal_channels(data):
    pixels, present = _one(data)
    assert present
    np.testing.assert_array_equal(pixels, np.full((8, 8, 3), 90))


def test_cmyk_jpeg_becomes_rgb():
    pixels, present = _one(_file(Image.new("RGB", (8, 8), RED).convert("CMYK"), "JPEG"))
    assert present
    np.testing.assert_allclose(pixels[4, 4], RED, atol=3)


def test_palette_png_becomes_rgb():
    image = Image.new("RGB", (8, 8), RED).convert("P", palette=Image.Palette.ADAPTIVE)
    pixels, present = _one(_file(image))
    assert present
    np.testing.assert_array_equal(pixels[4, 4], RED)


def test_transparency_lies_on_white():
    # alpha 51 / 255 = 0.2: red 255, green and blue 0.8 * 255 = 204.
    pixels, _ = _one(_file(Image.new("RGBA", (8, 8), (*RED, 51))))
    np.testing.assert_array_equal(pixels[4, 4], [255, 204, 204])
    pixels, _ = _one(_file(Image.new("RGBA", (8, 8), (*RED, 0))))
    np.testing.assert_array_equal(pixels[4, 4], [255, 255, 255])


def test_proportions_stay_and_black_fills():
    # 16 wide, 8 high, into 8 x 8: rows 2 to 5 are the picture.
    pixels, _ = _one(_file(Image.new("RGB", (16, 8), RED)))
    assert not pixels[[0, 1, 6, 7]].any()
    np.testing.assert_array_equal(pixels[2:6], np.broadcast_to(RED, (4, 8, 3)))


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels, _ = _one(_file(Image.fromarray(stripes)), size=8)
    assert abs(int(pixels[4, 4, 0]) - 127) < 20


def test_other_sizes_and_one_pixel():
    for image in (_photo(1, 1), _photo(3, 200), _photo(200, 3), _photo(333, 77)):
        for kind in ("PNG", "JPEG"):
            pixels, present = _one(_file(image, kind))
            assert present
            assert pixels.any()


def test_jpeg_whose_end_is_cut_keeps_its_beginning():
    data = _file(_photo(200, 200), "JPEG")
    pixels, present = _one(data[: len(data) // 2])
    assert present
    np.testing.assert_allclose(pixels[0].astype(int), _one(data)[0][0], atol=2)


@pytest.mark.parametrize("data", [PNG, JPEG], ids=["png", "jpeg"])
def test_limit_of_pixels(data):
    assert _one(data, max_pixels=40 * 40)[1]
    assert not _one(data, max_pixels=40 * 40 - 1)[1]


def test_same_pixels_inside_tf_data():
    files = [PNG, b"", JPEG, b"GIF89a"]
    data = tf.data.Dataset.from_tensor_slices(files).batch(2)
    found = list(data.map(lambda x: decode_pictures(x, 8)))
    expected, present = decode_pictures(tf.constant(files), 8)
    np.testing.assert_array_equal(np.concatenate([p for p, _ in found]), expected)
    np.testing.assert_array_equal(np.concatenate([p for _, p in found]), present)
