"""The encoded pictures behind a media column's values."""

import urllib.request
from http.client import HTTPException
from pathlib import Path

import pyarrow.fs

FETCH_SECONDS = 20


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
