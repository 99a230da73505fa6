"""Files on any file system that Beam knows, local ones without a detour.

A path with `://` goes to Beam's `FileSystems`, whose extras bring gs:// and s3://.
"""

import atexit
import functools
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from tfmm.errors import TfmmError
from tfmm.records.manifest import NAME, parsed_manifest, read_manifest
from tfmm.records.tfrecord import records_in

_PLAIN = CompressionTypes.UNCOMPRESSED
_EXTRAS = {"gs": "apache-beam[gcp]", "s3": "apache-beam[aws]"}


def is_local(path: str) -> bool:
    """Whether a path is on this machine's file system."""
    return "://" not in path


def join(folder: str, *names: str) -> str:
    """A path below a folder.

    Example:
        >>> join("gs://shop/out", "train", "a.tfrecord")
        'gs://shop/out/train/a.tfrecord'
    """
    return "/".join([folder.rstrip("/"), *names])


def write(path: str, chunks: Iterable[bytes]) -> None:
    """Writes a file; makes its folder where folders exist."""
    if is_local(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.writelines(chunks)
        return
    with FileSystems.create(path, compression_type=_PLAIN) as file:
        for chunk in chunks:
            file.write(chunk)


def read(path: str) -> bytes:
    """The content of a file."""
    if is_local(path):
        return Path(path).read_bytes()
    with FileSystems.open(path, compression_type=_PLAIN) as file:
        return file.read()


def opened(path: str) -> IO[bytes]:
    """A file to read from."""
    if is_local(path):
        return open(path, "rb")
    return FileSystems.open(path, compression_type=_PLAIN)


def read_range(path: str, start: int, size: int) -> bytes:
    """`size` bytes of a file from `start` on."""
    with opened(path) as file:
        file.seek(start)
        return file.read(size)


def records(path: str) -> Iterator[bytes]:
    """The records of a TFRecord file.

    Raises:
        TfmmError: If the file is truncated or damaged.
    """
    with opened(path) as file:
        yield from records_in(file, path)


def records_of(data: bytes) -> Iterator[bytes]:
    """The records of a piece of a TFRecord file.

    Raises:
        TfmmError: If it is damaged.
    """
    yield from records_in(io.BytesIO(data), "a piece of a TFRecord file")


def manifest(folder: str, kind: str | None = None) -> dict[str, Any]:
    """A finished output's manifest; only local files are looked at themselves.

    Raises:
        TfmmError: If there is none, or it is of another kind.
    """
    if is_local(folder):
        return read_manifest(folder, kind)
    path = join(folder, NAME)
    if facts(path) is None:
        raise TfmmError(
            f"`{folder}` has no {NAME}, so it is not a finished output. Run the job "
            "that writes it."
        )
    return parsed_manifest(read(path).decode(), path, kind)


def facts(path: str) -> tuple[int, float] | None:
    """Bytes and time of the last change; `None` where there is no file."""
    if is_local(path):
        found = os.stat(path) if os.path.isfile(path) else None
        return (found.st_size, found.st_mtime_ns) if found else None
    matched = FileSystems.match([path])[0].metadata_list
    if not matched:
        return None
    return matched[0].size_in_bytes, matched[0].last_updated_in_seconds


def names(folder: str, suffix: str) -> list[str]:
    """Names of the files right in a folder that end so, sorted; none without it."""
    if is_local(folder):
        found = [path.name for path in Path(folder).glob(f"*{suffix}")]
    else:
        matched = FileSystems.match([join(folder, f"*{suffix}")])[0].metadata_list
        found = [each.path.rsplit("/", 1)[-1] for each in matched]
    return sorted(found)


def move(source: str, target: str) -> None:
    """Moves a file over whatever stands there.

    Done twice, by a worker that is tried again or after a killed commit, it is done.
    """
    if is_local(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(source, target)
        return
    if not FileSystems.exists(source) and FileSystems.exists(target):
        return
    remove([target])
    FileSystems.rename([source], [target])


def remove(paths: Sequence[str]) -> None:
    """Removes the files that exist."""
    for path in paths:
        if is_local(path):
            Path(path).unlink(missing_ok=True)
        elif FileSystems.exists(path):
            FileSystems.delete([path])


def remove_folder(folder: str) -> None:
    """Removes a folder with all that is in it."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    for each in FileSystems.match([join(folder, "**")])[0].metadata_list:
        FileSystems.delete([each.path])


def checked(path: str) -> str:
    """The path, absolute where it is local.

    Raises:
        TfmmError: If no file system of this environment knows it.
    """
    if is_local(path):
        return os.path.abspath(path)
    try:
        FileSystems.get_filesystem(path)
    except ValueError as error:
        scheme = path.split("://")[0]
        extra = _EXTRAS.get(scheme, "the Beam extra that brings it")
        raise TfmmError(
            f"`{path}` is on a file system that is not known here. Expected: a local "
            f"path or one that Beam knows. Received: {scheme}://. Install {extra}."
        ) from error
    return path.rstrip("/")


def fetched(folder: str) -> Path:
    """A finished output as a local folder; a remote one is copied once per process.

    Raises:
        TfmmError: If the remote folder has no manifest.
    """
    if is_local(folder):
        return Path(folder)
    manifest(folder)
    return _copied(folder, facts(join(folder, NAME)))


@functools.cache
def _copied(folder: str, version: tuple[int, float] | None) -> Path:
    """A local copy of a remote output as of one version of its manifest."""
    copy = Path(tempfile.mkdtemp(prefix="tfmm-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    text = read(join(folder, NAME))
    for name in json.loads(text)["files"]:
        write(str(copy / name), [read(join(folder, name))])
    (copy / NAME).write_bytes(text)
    return copy
