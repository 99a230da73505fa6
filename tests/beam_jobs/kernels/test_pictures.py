import io

import numpy as np
import pytest
from PIL import Image, features
from sample_pictures import animation, encoded, huge_png, noise, plain

from beam_jobs.kernels.pictures import Picture, picture

PIXELS = 50_000_000
needs_avif = pytest.mark.skipif(
    not features.check("avif"), reason="this Pillow reads no AVIF"
)


def decoded(made):
    assert made.reason == "" and len(made.digest) == 16
    image = Image.open(io.BytesIO(made.jpeg))
    image.load()
    assert image.format == "JPEG" and image.mode == "RGB"
    return image


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((400, 200), (32, 16)),
        ((1000, 999), (32, 32)),
        ((10, 5), (10, 5)),
        ((4000, 2), (32, 1)),
    ],
)
def test_a_picture_is_shrunk_and_small_ones_stay(kind, size, expected):
    made = picture(encoded(plain(size), kind), 32, PIXELS)
    assert decoded(made).size == expected
    assert (made.width, made.height) == size


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no picture at all", "not_a_picture"),
        (encoded(noise())[:-2000], "damaged"),
        (encoded(noise((640, 640)))[:-2000], "damaged"),
        (encoded(noise(), progressive=True)[:-2000], "damaged"),
        (encoded(noise(), "PNG")[:-2000], "damaged"),
        (encoded(noise(), "BMP")[:-2000], "damaged"),
        (encoded(noise(), "GIF")[:-2000], "damaged"),
        (huge_png(), "too_many_pixels"),
    ],
)
def test_bad_pictures_have_a_reason(data, reason):
    assert picture(data, 32, PIXELS) == Picture(reason=reason)


@pytest.mark.parametrize("kind", ["WEBP", pytest.param("AVIF", marks=needs_avif)])
def test_the_end_of_newer_formats_is_missed_too(kind):
    made = picture(encoded(noise(), kind)[:-200], 32, PIXELS)
    assert made in (Picture(reason="damaged"), Picture(reason="not_a_picture"))


def test_the_limit_of_pixels_is_the_users():
    data = encoded(plain((101, 100)))
    assert picture(data, 32, 10_100).reason == ""
    assert picture(data, 32, 10_099).reason == "too_many_pixels"


def test_the_quality_is_the_users():
    data = encoded(noise())
    sizes = [len(picture(data, 64, PIXELS, quality).jpeg) for quality in (20, 60, 90)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert picture(data, 64, PIXELS) == picture(data, 64, PIXELS, 90)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_counts(kind):
    made = picture(animation(kind), 32, PIXELS)
    assert made.first_frame and (made.width, made.height) == (8, 8)
    red, green, blue = decoded(made).getpixel((4, 4))
    assert red > 240 and green < 15 and blue < 15


@pytest.mark.parametrize(
    "kind", ["GIF", "WEBP", "BMP", pytest.param("AVIF", marks=needs_avif)]
)
def test_stills_of_every_format(kind):
    made = picture(encoded(plain((64, 32)), kind), 32, PIXELS)
    assert decoded(made).size == (32, 16) and not made.first_frame


def test_the_preview_in_a_phones_jpeg_is_no_animation():
    data = encoded(plain(), "MPO", save_all=True, append_images=[plain((4, 2))])
    made = picture(data, 64, PIXELS)
    assert decoded(made).size == (40, 20) and not made.first_frame


# Where the blue left half of a picture is after each turn, by EXIF orientation.
@pytest.mark.parametrize("size", [64, 320])
@pytest.mark.parametrize(
    ("orientation", "side"),
    enumerate(["left", "right", "right", "left", "top", "top", "bottom", "bottom"], 1),
)
def test_orientation_is_applied(orientation, side, size):
    image = plain((640, 320))
    image.paste("blue", (0, 0, 320, 320))
    made = picture(encoded(image, exif=turned(orientation)), size, PIXELS)
    shown = decoded(made)
    wide = side in ("left", "right")
    assert shown.size == ((size, size // 2) if wide else (size // 2, size))
    assert (made.width, made.height) == ((640, 320) if wide else (320, 640))
    x, y = shown.width / 2, shown.height / 2
    place = {"left": (1, y), "right": (2 * x - 2, y)}
    place |= {"top": (x, 1), "bottom": (x, 2 * y - 2)}
    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    assert shown.getpixel(tuple(map(int, place[side])))[2] > 200
    assert shown.getpixel(tuple(map(int, place[opposite[side]])))[0] > 200


def test_an_orientation_that_there_is_not():
    made = picture(encoded(plain(), exif=turned(9)), 64, PIXELS)
    assert decoded(made).size == (40, 20)


def test_nothing_but_pixels_is_kept():
    exif = Image.Exif()
    exif[0x010E] = "planted description"
    for kind, options in (
        ("JPEG", {"exif": exif, "comment": b"planted comment"}),
        ("GIF", {"comment": b"planted comment"}),
    ):
        data = encoded(plain(), kind, **options)
        assert b"planted" in data
        made = picture(data, 16, PIXELS)
        assert made.jpeg and b"planted" not in made.jpeg


def without_adobe_marker(data):
    start = data.index(b"\xff\xee")
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
    return data[:start] + data[end:]


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("L", (8, 8), 100), "JPEG", (100, 100, 100)),
        (Image.new("L", (8, 8), 100), "PNG", (100, 100, 100)),
        (Image.new("1", (8, 8), 1), "PNG", (255, 255, 255)),
        (Image.new("I;16", (8, 8), 100 << 8), "PNG", (100, 100, 100)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 51)), "PNG", (255, 204, 204)),
        (Image.new("LA", (8, 8), (0, 128)), "PNG", (127, 127, 127)),
        (Image.new("RGBA", (8, 8), (0, 0, 255, 0)), "WEBP", (255, 255, 255)),
    ],
)
@pytest.mark.parametrize("size", [4, 16])
def test_every_mode_becomes_rgb_on_white(image, kind, expected, size):
    found = decoded(picture(encoded(image, kind), size, PIXELS)).getpixel((2, 2))
    assert np.abs(np.subtract(found, expected)).max() <= 4


def test_cmyk_is_inverted_where_adobe_says_so():
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    assert decoded(picture(data, 16, PIXELS)).getpixel((4, 4))[0] > 250
    # The file holds (255, 0, 0, 255): without the marker, full cyan and full black.
    found = decoded(picture(without_adobe_marker(data), 16, PIXELS)).getpixel((4, 4))
    assert max(found) <= 4


def test_a_palette_with_a_transparent_colour():
    image = plain((8, 8)).quantize(2)
    data = encoded(image, "PNG", transparency=image.getpixel((0, 0)))
    assert decoded(picture(data, 16, PIXELS)).getpixel((4, 4)) == (255, 255, 255)
    opaque = decoded(picture(encoded(image, "PNG"), 4, PIXELS)).getpixel((2, 2))
    assert opaque[0] > 240 and opaque[1] < 15


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_one_transparent_colour_without_a_palette(mode):
    image = Image.new(mode, (8, 8), 0)
    data = encoded(image, "PNG", transparency=0 if mode == "L" else (0, 0, 0))
    assert decoded(picture(data, 4, PIXELS)).getpixel((2, 2)) == (255, 255, 255)


def test_transparent_pixels_do_not_colour_their_neighbours():
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))  # Unseen red.
    image.paste((0, 0, 0, 255), (0, 0, 30, 64))
    shown = np.asarray(decoded(picture(encoded(image, "PNG"), 16, PIXELS)))
    red = shown[..., 0].astype(int) - shown[..., 1]
    assert np.abs(red).max() <= 4


def test_drafted_jpegs_look_like_those_shrunk_at_full_size():
    rough = np.random.default_rng(3).integers(0, 256, (9, 12, 3), np.uint8)
    image = Image.fromarray(rough).resize((1203, 901), Image.Resampling.BICUBIC)
    found = decoded(picture(encoded(image, quality=95), 64, PIXELS))
    expected = image.resize(found.size, Image.Resampling.LANCZOS)
    grey, wanted = (np.asarray(some.convert("L"), int) for some in (found, expected))
    assert np.abs(grey - wanted).mean() < 2


def test_no_bytes_crash_the_decoder():
    rng = np.random.default_rng(1)
    for data in (
        encoded(noise((16, 16)), exif=turned(6)),
        encoded(noise((16, 16)).quantize(9), "PNG", exif=turned(6)),
        encoded(plain((9, 9)), "GIF"),
        animation(),
        encoded(plain((9, 9)), "WEBP"),
        encoded(plain((9, 9)), "BMP"),
    ):
        for _ in range(60):
            broken = bytearray(data)
            for place in rng.integers(0, len(data), 4):
                broken[place] = rng.integers(0, 256)
            made = picture(bytes(broken), 16, PIXELS)
            assert bool(made.jpeg) != bool(made.reason)
            assert (made.width > 0) == bool(made.jpeg)
