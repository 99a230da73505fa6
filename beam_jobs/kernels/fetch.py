"""The encoded pictures behind a media column's values."""

import functools
import os
import stat
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyarrow.fs import FileSystem

from beam_jobs.kernels.http_read import SCHEMES, read_http
from beam_jobs.kernels.retries import ReadError, Retries


@dataclass(frozen=True)
class Limits:
    """What reading may cost.

    Args:
        max_bytes: Larger pictures are not read.
        read_seconds: Longest wait for the next bytes of a server.
        at_a_time: Pictures to read at a time.
        retries: How transient errors of servers are tried again, and the most seconds
            that one picture may take.
    """

    max_bytes: int
    read_seconds: float = 20.0
    at_a_time: int = 16
    retries: Retries = field(default_factory=Retries)


def fetch(value: bytes | str, root: str, limits: Limits) -> tuple[bytes, str]:
    """The encoded picture behind a media column's value.

    Timeouts, lost connections and the HTTP answers 429 and 5xx are tried again. The
    clients of object stores do that on their own.

    Args:
        value: Bytes, a path or a URI (`http`, `https`, and what pyarrow reads: `gs`,
            `s3`, `hdfs`, `file`). A relative path must stay below `root`.
        root: Folder or URI that relative paths start from.
        limits: What reading may cost.

    Returns:
        The bytes, or none and a reason: `too_many_bytes`, `outside_root`,
        `unreadable_path`, or one of `read_http`.
    """
    try:
        data = value if isinstance(value, bytes) else _read(value, root, limits)
    except ReadError as error:
        return b"", error.reason
    except (OSError, ValueError, NotImplementedError, HTTPException):
        return b"", "unreadable_path"
    return (data, "") if len(data) <= limits.max_bytes else (b"", "too_many_bytes")


def _read(value: str, root: str, limits: Limits) -> bytes:
    location = _location(value, root)
    if "://" not in location:
        facts = os.stat(location)
        # Opening a pipe or a device could last for ever.
        if not stat.S_ISREG(facts.st_mode):
            raise ReadError("unreadable_path")
        if facts.st_size > limits.max_bytes:
            raise ReadError("too_many_bytes")
        return Path(location).read_bytes()
    scheme, host, path, query, _ = urlsplit(location)
    if scheme in SCHEMES:
        retries = limits.retries
        return retries(
            lambda deadline: read_http(
                location,
                limits.max_bytes,
                limits.read_seconds,
                deadline,
                retries.clock,
            )
        )
    filesystem, base = _filesystem(scheme, host, query)
    with filesystem.open_input_stream(base + unquote(path)) as stream:
        return stream.read(limits.max_bytes + 1)


def _location(value: str, root: str) -> str:
    """The path or URI that a value means."""
    if "://" in value or os.path.isabs(value):
        return value
    if os.path.normpath(value).split(os.sep)[0] == os.pardir:
        raise ReadError("outside_root")
    return f"{root.rstrip('/')}/{value}"


@functools.lru_cache(maxsize=64)
def _filesystem(scheme: str, host: str, query: str) -> tuple[FileSystem, str]:
    """A store's client, which is slow to make, and what its paths start with."""
    options = f"?{query}" if query else ""
    filesystem, base = FileSystem.from_uri(f"{scheme}://{host}/{options}")
    return filesystem, base.rstrip("/")
