"""Pictures and titles as item and pair records hold them."""

import hashlib
import io
import re
import unicodedata
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow.fs
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
JPEG_QUALITY = 90
MAX_TITLE = 512
FETCH_SECONDS = 20
T = TypeVar("T")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Picture:
    """A picture ready for a record, or the reason why there is none.

    Args:
        jpeg: RGB JPEG, longest side at most the size asked for; empty on failure.
        digest: 16 bytes that are equal for equal source bytes; empty on failure.
        reason: Empty on success, else why the picture was left out.
    """

    jpeg: bytes = b""
    digest: bytes = b""
    reason: str = ""


def fetch(value: bytes | str, root: Path, max_bytes: int) -> tuple[bytes, str]:
    """The encoded picture behind a media column's value.

    Args:
        value: Bytes, a path (relative to `root` or absolute) or a URI.
        root: Folder that relative paths start from.
        max_bytes: More are not read.

    Returns:
        The bytes, or none and a reason.
    """
    if isinstance(value, bytes):
        return (value, "") if len(value) <= max_bytes else (b"", "too_many_bytes")
    try:
        data = _read(value, root, max_bytes + 1)
    except (OSError, ValueError, NotImplementedError, HTTPException):
        return b"", "unreadable_path"
    return (data, "") if len(data) <= max_bytes else (b"", "too_many_bytes")


def picture(data: bytes, size: int, max_pixels: int) -> Picture:
    """Decodes, checks, orients, shrinks and encodes one picture.

    The header is checked before anything is decoded, so that a small file cannot
    unfold into a huge picture.

    Args:
        data: An encoded picture.
        size: Longest side of the result in pixels; smaller pictures stay small.
        max_pixels: Pictures with more pixels are refused.
    """
    if not data:
        return Picture(reason="empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as source:
            if source.width * source.height > max_pixels:
                return Picture(reason="too_many_pixels")
            # Phones store a preview as a second frame of a JPEG: MPO.
            if source.format != "MPO" and getattr(source, "n_frames", 1) > 1:
                return Picture(reason="animated")
            source.draft("RGB", (size, size))
            # `load` finds truncated files, `verify` does not.
            source.load()
            image = _rgb(_upright(source))
    except Image.DecompressionBombError:
        return Picture(reason="too_many_pixels")
    except Image.UnidentifiedImageError:
        return Picture(reason="not_a_picture")
    except Exception:  # Decoders raise all sorts of errors on damaged bytes.
        return Picture(reason="damaged")
    image.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY)
    return Picture(out.getvalue(), hashlib.sha256(data).digest()[:16])


def title(text: str | None) -> str:
    """A title in Unicode NFKC, without control characters or doubled spaces.

    Example:
        >>> title("  Red\\tＳｈｏｅ ")
        'Red Shoe'
    """
    clean = unicodedata.normalize("NFKC", text or "")
    clean = "".join(
        c for c in clean if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    return _SPACE.sub(" ", clean).strip()[:MAX_TITLE].rstrip()


def promote(own: list[T], further: list[list[T]], usable: Sequence[bool]) -> int:
    """Puts an item's first further medium in the place of its own unusable one.

    What towers and embedding take for an item is its own medium.

    Args:
        own: Per item its own medium; changed in place.
        further: Per item the usable further ones; changed in place.
        usable: Per item, whether its own can be used.

    Returns:
        How many took the place.

    Example:
        >>> own, further = ["red hat", "", ""], [["chapeau"], ["shoe", "Schuh"], []]
        >>> promote(own, further, [True, False, False])
        1
        >>> own, further
        (['red hat', 'shoe', ''], [['chapeau'], ['Schuh'], []])
    """
    places = [i for i, others in enumerate(further) if others and not usable[i]]
    for place in places:
        own[place] = further[place].pop(0)
    return len(places)


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data say; as it is where they are damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip to white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _read(location: str, root: Path, limit: int) -> bytes:
    if location.startswith(("http://", "https://")):
        with urllib.request.urlopen(location, timeout=FETCH_SECONDS) as response:
            return response.read(limit)
    if "://" in location:
        filesystem, path = pyarrow.fs.FileSystem.from_uri(location)
        with filesystem.open_input_stream(path) as stream:
            return stream.read(limit)
    with open(root / location, "rb") as file:
        return file.read(limit)
