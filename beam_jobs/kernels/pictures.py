"""Pictures as item and pair records hold them: upright, RGB on white, small."""

import hashlib
import io
from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import ExifTags, Image, ImageChops

from beam_jobs.kernels.perceptual_hash import perceptual_hash

# AVIF where Pillow was built with it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
JPEG_QUALITY = 90
# What turns a picture upright, by its EXIF orientation; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_SIDEWAYS = 5


@dataclass(frozen=True)
class Picture:
    """A picture ready for a record, or the reason why there is none.

    Args:
        jpeg: RGB JPEG, longest side at most the size asked for; empty on failure.
        digest: 16 bytes that are equal for equal source bytes; empty on failure.
        look: What `perceptual_hash` gives; empty on failure too.
        reason: Empty on success, else why the picture was left out.
        width: Of the source, upright, in pixels; 0 on failure.
        height: Likewise.
        first_frame: Whether this is the first frame of an animation.
    """

    jpeg: bytes = b""
    digest: bytes = b""
    look: bytes = b""
    reason: str = ""
    width: int = 0
    height: int = 0
    first_frame: bool = False


def picture(
    data: bytes, size: int, max_pixels: int, quality: int = JPEG_QUALITY
) -> Picture:
    """Decodes, checks, shrinks, orients and encodes one picture.

    The header is checked before anything is decoded, so that a small file cannot
    unfold into a huge picture. JPEGs are decoded at the scale that is needed, and all
    other work is done on the shrunk picture. Of an animation the first frame counts.
    Nothing but pixels reaches the result: no EXIF, no comment, no place where a photo
    was taken.

    Args:
        data: An encoded picture: JPEG, PNG, WebP, GIF, BMP or AVIF.
        size: Longest side of the result in pixels; smaller pictures stay small.
        max_pixels: Pictures with more pixels are refused.
        quality: Of the JPEG, 1 to 100.
    """
    if not data:
        return Picture(reason="empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as source:
            width, height = source.size
            if width * height > max_pixels:
                return Picture(reason="too_many_pixels")
            target = _fitted(width, height, size)
            drafted = source.draft("RGB", target)
            # `load` finds truncated files, `verify` does not.
            source.load()
            image = _resizable(source)
            if image.size != target:
                image = image.resize(
                    target,
                    Image.Resampling.BICUBIC,
                    box=drafted[1] if drafted else None,
                    reducing_gap=2.0,
                )
            orientation = _orientation(source)
            if orientation in _TURNS:
                image = image.transpose(_TURNS[orientation])
            image = _on_white(image)
            jpeg, look = _encoded(image, quality), perceptual_hash(image)
            first_frame = _is_animated(source)
    except Image.DecompressionBombError:
        return Picture(reason="too_many_pixels")
    except Image.UnidentifiedImageError:
        return Picture(reason="not_a_picture")
    except Exception:  # Decoders raise all sorts of errors on damaged bytes.
        return Picture(reason="damaged")
    if orientation >= _FIRST_SIDEWAYS:
        width, height = height, width
    digest = hashlib.sha256(data).digest()[:16]
    return Picture(jpeg, digest, look, "", width, height, first_frame)


def _fitted(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height with the longest side at most `size`, none below 1."""
    scale = min(1.0, size / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resizable(image: Image.Image) -> Image.Image:
    """The picture in a mode whose values are amounts of light: L, RGB or RGBA."""
    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip to white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    # Pillow takes every CMYK for inverted, as Adobe writes it.
    if image.mode == "CMYK" and "adobe" not in image.info:
        image = ImageChops.invert(image)
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _orientation(source: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or the data are damaged."""
    try:
        found = source.getexif().get(ExifTags.Base.Orientation)
    except Exception:
        return 1
    return cast(int, found) if found in _TURNS else 1


def _is_animated(source: Image.Image) -> bool:
    # Phones store a preview as a second frame of a JPEG: MPO.
    if source.format == "MPO":
        return False
    try:
        return getattr(source, "is_animated", False)
    except Exception:  # The first frame is good, whatever the second one is.
        return True


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _encoded(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    # Pillow would copy the source's comment.
    image.save(out, "JPEG", quality=quality, comment=b"")
    return out.getvalue()
