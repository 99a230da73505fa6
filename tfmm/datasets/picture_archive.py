"""Named pictures out of a zip file, and pictures as arrays of one size."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tfmm.errors import TfmmError

MAX_BYTES = 4_000_000
MAX_MEMBERS = 200_000
MAX_PIXELS = 50_000_000


def read_pictures(archive: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Reads members of a zip file into memory; nothing is written anywhere.

    Args:
        archive: The zip file.
        names: The members wanted.

    Returns:
        Name -> the picture file's bytes.

    Raises:
        TfmmError: If the archive is absent or damaged, has more than 200,000 members,
            lacks one of the names, or holds one larger than 4 MB.
    """
    if not archive.is_file():
        raise TfmmError(
            f"A file of the data set is missing. Received: no `{archive}`. "
            "Copy the data set's folder whole."
        )
    try:
        with zipfile.ZipFile(archive) as file:
            members = {member.filename: member for member in file.infolist()}
            if len(members) > MAX_MEMBERS:
                raise _unusable(archive, f"{len(members):,} members", "fewer members")
            found = {}
            for name in names:
                if name not in members:
                    raise _unusable(archive, f"no member {name!r}", "every picture")
                if members[name].file_size > MAX_BYTES:
                    raise _unusable(archive, f"a larger {name!r}", "4 MB a picture")
                found[name] = file.read(members[name])
    except (zipfile.BadZipFile, zlib.error) as error:
        raise _unusable(archive, str(error), "a zip file") from error
    return found


def pixels(pictures: Sequence[bytes], size: int) -> np.ndarray:
    """Picture files as pixels, fitted into a square and centred on black.

    Args:
        pictures: Contents of picture files; empty ones give zeros.
        size: Side S of the square.

    Returns:
        uint8 `[N, S, S, 3]`.

    Raises:
        TfmmError: If `size` is not positive or a picture cannot be read.

    Example:
        >>> data = io.BytesIO()
        >>> Image.new("RGB", (4, 4), (255, 0, 0)).save(data, "PNG")
        >>> pixels([data.getvalue(), b""], size=2)[:, 0, 0].tolist()
        [[255, 0, 0], [0, 0, 0]]
    """
    if size < 1:
        raise TfmmError(f"`size` must be positive. Received: size={size}. Try size=64.")
    found = np.zeros((len(pictures), size, size, 3), np.uint8)
    for number, data in enumerate(pictures):
        if data:
            found[number] = _fitted(data, size, number)
    return found


def _fitted(data: bytes, size: int, number: int) -> np.ndarray:
    try:
        picture = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(f"{picture.width} x {picture.height} pixels")
        rgb = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise TfmmError(
            f"Picture {number} cannot be read. Received: {error}. "
            "Give JPEG or PNG files of at most 50 megapixels."
        ) from error
    return np.asarray(ImageOps.pad(rgb, (size, size), Image.Resampling.BILINEAR))


def _unusable(archive: Path, received: str, expected: str) -> TfmmError:
    return TfmmError(
        f"`{archive}` cannot be used. Expected: {expected}. Received: {received}. "
        "Copy the file from its source again."
    )
