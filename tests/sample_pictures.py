"""Encoded pictures for tests, good and bad."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image, kind="JPEG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def plain(size=(40, 20), color=(255, 0, 0)):
    return Image.new("RGB", size, color)


def noise(size=(64, 64)):
    """A picture of `size` (height, width) that no encoder can shrink."""
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))


def huge_png():
    """A PNG whose header says 30,000 x 30,000; its data are a few zeros."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)


def animation(kind="GIF"):
    frames = [plain((8, 8), color) for color in ("red", "blue", "green")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])
