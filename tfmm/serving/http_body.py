"""The body of an HTTP request: its length or chunks, gzip, and a bound on its size."""

import re
import zlib
from email.message import Message
from typing import BinaryIO

from tfmm.serving.status import StatusError, invalid

_DECIMAL = re.compile(r"[0-9]{1,18}")
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,15}")
_GZIP = 16 + zlib.MAX_WBITS
_MAX_LINE = 8192


def read_body(headers: Message, stream: BinaryIO, limit: int) -> bytes:
    """Reads and inflates a body.

    Args:
        headers: The request's headers.
        stream: What follows them.
        limit: Longest body, also once inflated.

    Raises:
        StatusError: INVALID_ARGUMENT if length, chunks or gzip are wrong; with HTTP
            code 413 if the body is too long.
        ConnectionError: If it ends early.
    """
    coding = headers.get("Transfer-Encoding")
    lengths = set(headers.get_all("Content-Length", []))
    if coding is None:
        body = _read(stream, _checked(_length(lengths), limit))
    elif coding.strip().lower() == "chunked" and not lengths:
        body = _read_chunks(stream, limit)
    else:
        raise invalid(
            "A body is chunked or has a Content-Length. Received: Transfer-Encoding "
            f"{coding!r}, Content-Length {sorted(lengths)}"
        )
    if headers.get("Content-Encoding", "").strip().lower() == "gzip":
        return _inflate(body, limit)
    return body


def _length(lengths: set[str]) -> int:
    if not lengths:
        return 0
    if len(lengths) > 1 or not _DECIMAL.fullmatch(min(lengths).strip()):
        raise invalid(f"Content-Length is no number: {', '.join(sorted(lengths))}")
    return int(min(lengths))


def _read_chunks(stream: BinaryIO, limit: int) -> bytes:
    parts, total = [], 0
    while size := _chunk_size(stream):
        total = _checked(total + size, limit)
        parts.append(_read(stream, size))
        if _line(stream):
            raise invalid("A chunk is longer than its size says")
    while _line(stream):
        pass
    return b"".join(parts)


def _chunk_size(stream: BinaryIO) -> int:
    digits = _line(stream).split(b";")[0].strip()
    if not _HEXADECIMAL.fullmatch(digits):
        raise invalid(f"Chunk size is no number: {digits!r}")
    return int(digits, 16)


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(_MAX_LINE)
    if not line:
        raise ConnectionAbortedError("the client went away")
    return line.rstrip(b"\r\n")


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionAbortedError("the client went away")
    return data


def _inflate(body: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP)
    try:
        data = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise invalid(f"The gzip body is damaged: {error}") from error
    _checked(len(data), limit)
    if not inflater.eof:
        raise invalid("The gzip body is damaged: it ends early")
    return data


def _checked(size: int, limit: int) -> int:
    if size > limit:
        raise StatusError(
            "INVALID_ARGUMENT", f"Body too large: {size} > {limit} bytes", 413
        )
    return size
