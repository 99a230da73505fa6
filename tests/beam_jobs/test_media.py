import io

import numpy as np
import pytest
from PIL import Image
from sample_pictures import animation, encoded, huge_png, noise, plain

from beam_jobs.kernels.media import Picture, fetch, picture, title

PIXELS = 50_000_000


def decoded(made):
    assert made.reason == "" and len(made.digest) == 16
    image = Image.open(io.BytesIO(made.jpeg))
    image.load()
    assert image.format == "JPEG" and image.mode == "RGB"
    return image


def test_a_picture_is_shrunk_and_small_ones_stay():
    assert decoded(picture(encoded(plain((400, 200))), 32, PIXELS)).size == (32, 16)
    assert decoded(picture(encoded(plain((10, 5))), 32, PIXELS)).size == (10, 5)
    assert decoded(picture(encoded(plain((4000, 2))), 32, PIXELS)).size == (32, 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no picture at all", "not_a_picture"),
        (encoded(noise())[:-2000], "damaged"),
        (encoded(noise(), "PNG")[:-2000], "damaged"),
        (animation(), "animated"),
        (animation("PNG"), "animated"),
        (animation("WEBP"), "animated"),
        (huge_png(), "too_many_pixels"),
    ],
)
def test_bad_pictures_have_a_reason(data, reason):
    assert picture(data, 32, PIXELS) == Picture(reason=reason)


def test_the_limit_of_pixels_is_the_users():
    data = encoded(plain((101, 100)))
    assert picture(data, 32, 10_100).reason == ""
    assert picture(data, 32, 10_099).reason == "too_many_pixels"


def test_a_still_gif_is_a_picture():
    assert decoded(picture(encoded(plain(), "GIF"), 32, PIXELS)).size == (32, 16)


def test_the_preview_in_a_phones_jpeg_is_no_animation():
    data = encoded(plain(), "MPO", save_all=True, append_images=[plain((4, 2))])
    assert decoded(picture(data, 64, PIXELS)).size == (40, 20)


def test_orientation_is_applied():
    image = plain((40, 20))
    image.paste("blue", (0, 0, 20, 20))  # blue left, red right
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise: blue on top
    made = decoded(picture(encoded(image, exif=exif, quality=95), 64, PIXELS))
    assert made.size == (20, 40)
    assert made.getpixel((10, 5))[2] > 200 and made.getpixel((10, 35))[0] > 200


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("L", (8, 8), 100), "JPEG", (100, 100, 100)),
        (Image.new("L", (8, 8), 100), "PNG", (100, 100, 100)),
        (Image.new("1", (8, 8), 1), "PNG", (255, 255, 255)),
        (Image.new("I;16", (8, 8), 100 << 8), "PNG", (100, 100, 100)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("LA", (8, 8), (0, 128)), "PNG", (127, 127, 127)),
    ],
)
def test_every_mode_becomes_rgb_on_white(image, kind, expected):
    found = decoded(picture(encoded(image, kind), 16, PIXELS)).getpixel((4, 4))
    assert np.abs(np.subtract(found, expected)).max() <= 4


def test_a_palette_with_a_transparent_colour():
    image = plain((8, 8)).quantize(2)
    data = encoded(image, "PNG", transparency=image.getpixel((0, 0)))
    assert decoded(picture(data, 16, PIXELS)).getpixel((4, 4)) == (255, 255, 255)


def test_no_bytes_crash_the_decoder():
    rng = np.random.default_rng(1)
    exif = Image.Exif()
    exif[0x0112] = 6
    for data in (
        encoded(noise((16, 16)), exif=exif),
        encoded(noise((16, 16)).quantize(9), "PNG", exif=exif),
        encoded(plain((9, 9)), "GIF"),
        encoded(plain((9, 9)), "WEBP"),
        encoded(plain((9, 9)), "BMP"),
    ):
        for _ in range(60):
            broken = bytearray(data)
            for place in rng.integers(0, len(data), 4):
                broken[place] = rng.integers(0, 256)
            made = picture(bytes(broken), 16, PIXELS)
            assert bool(made.jpeg) != bool(made.reason)


def test_fetch(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"12345")
    for value in (b"12345", "a.jpg", str(tmp_path / "a.jpg")):
        assert fetch(value, tmp_path, 5) == (b"12345", "")
        assert fetch(value, tmp_path, 4) == (b"", "too_many_bytes")
    assert fetch((tmp_path / "a.jpg").as_uri(), tmp_path, 5) == (b"12345", "")


@pytest.mark.parametrize(
    "value", ["absent.jpg", ".", "a\0b", "nowhere://x/y.jpg", "http://", "x" * 5000]
)
def test_unreadable_paths(tmp_path, value):
    assert fetch(value, tmp_path, 5) == (b"", "unreadable_path")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ""),
        (" \t\n ", ""),
        ("  Red\tＳｈｏｅ\n", "Red Shoe"),
        ("a \u200b b\x00c", "a bc"),
        ("x" * 600, "x" * 512),
    ],
)
def test_titles(text, expected):
    assert title(text) == expected
