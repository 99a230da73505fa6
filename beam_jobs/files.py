"""Files on any file system that Beam knows, local ones without a detour.

A path with `://` goes to Beam's `FileSystems`, whose extras bring gs:// and s3://.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.copies import local_copy
from beam_jobs.disk import teaching
from beam_jobs.remote import has_folders, listed, make_folders
from tfmm.errors import TfmmError
from tfmm.records.manifest import NAME, parsed_manifest, read_manifest
from tfmm.records.tfrecord import records_in

Facts = tuple[int, int] | None
T = TypeVar("T")

_PLAIN = CompressionTypes.UNCOMPRESSED
_EXTRAS = {
    "gs": "apache-beam[gcp]",
    "s3": "apache-beam[aws]",
    "hdfs": "apache-beam[hadoop]",
}
_CHUNK_BYTES = 1 << 22
# A store answers each request late, and many at once just as soon.
_REQUESTS_AT_A_TIME = 16


def use_flags(pipeline_args: Sequence[str]) -> None:
    """Tells the file systems their flags, such as `--hdfs_host`.

    A job opens its inputs before there is a pipeline that would tell them.
    """
    FileSystems.set_options(PipelineOptions(list(pipeline_args)))


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


def each(do: Callable[[str], T], paths: Iterable[str]) -> list[T]:
    """`do` of every path, in their order; remote ones many at a time."""
    paths = list(paths)
    if all(map(is_local, paths)):
        return [do(path) for path in paths]
    with ThreadPoolExecutor(_REQUESTS_AT_A_TIME) as pool:
        return list(pool.map(do, paths))


def write(path: str, chunks: Iterable[bytes]) -> None:
    """Writes a file, over one that stands there; makes its folder.

    Raises:
        TfmmError: If the disk is full or nothing may be written there.
    """
    if is_local(path):
        with teaching(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.writelines(chunks)
        return
    if has_folders(path):
        remove([path])
    with FileSystems.create(path, compression_type=_PLAIN) as file:
        for chunk in chunks:
            file.write(chunk)


def read(path: str) -> bytes:
    """The content of a file."""
    with opened(path) as file:
        return file.read()


def content(path: str) -> Iterator[bytes]:
    """The content of a file in chunks."""
    with opened(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


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
    return parsed_manifest(read(path).decode(), folder, kind)


def facts(path: str) -> Facts:
    """Bytes and time of the last change (ns); `None` where there is no file."""
    if is_local(path):
        found = os.stat(path) if os.path.isfile(path) else None
        return (found.st_size, found.st_mtime_ns) if found else None
    if not FileSystems.exists(path):
        return None
    found = FileSystems.match([path])[0].metadata_list[0]
    return found.size_in_bytes, int(found.last_updated_in_seconds * 1e9)


def names(folder: str, suffix: str = "") -> list[str]:
    """Names of what is right in a folder and ends so, sorted; none without it."""
    if is_local(folder):
        found = [path.name for path in Path(folder).glob(f"*{suffix}")]
    elif has_folders(folder) and not FileSystems.exists(folder):
        found = []
    else:
        found = listed(join(folder, f"*{suffix}"))
    return sorted(found)


def below(folder: str) -> list[str]:
    """Paths of all files below a folder, relative to it, sorted."""
    if is_local(folder):
        paths = [path for path in Path(folder).rglob("*") if path.is_file()]
        return sorted(path.relative_to(folder).as_posix() for path in paths)
    if not has_folders(folder):
        return sorted(listed(join(folder, "**"), folder))
    found = []
    for name in names(folder):
        # Their listing tells files from folders by nothing else.
        try:
            inner = below(join(folder, name))
        except BeamIOError:
            found.append(name)
        else:
            found += [f"{name}/{each}" for each in inner]
    return sorted(found)


def move(moves: Mapping[str, str]) -> None:
    """Moves files over whatever stands there.

    Args:
        moves: Where each is -> where it shall be.
    """
    remote = {}
    for source, target in moves.items():
        if is_local(source):
            with teaching(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.replace(source, target)
        else:
            remote[source] = target
    if remote:
        make_folders(remote.values())
        remove([*remote.values()])
        FileSystems.rename([*remote], [*remote.values()])


def remove(paths: Sequence[str]) -> None:
    """Removes the files that exist."""
    for path in filter(is_local, paths):
        Path(path).unlink(missing_ok=True)
    remote = [path for path in paths if not is_local(path)]
    there = each(FileSystems.exists, remote)
    if any(there):
        FileSystems.delete([x for x, found in zip(remote, there, strict=True) if found])


def remove_folder(folder: str) -> None:
    """Removes a folder with all that is in it."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif not has_folders(folder) or FileSystems.exists(folder):
        FileSystems.delete([f"{folder}/"])


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
            f"path or one that Beam knows. Received: {scheme}://, and from Beam: "
            f"{error}. Install {extra}, or give the flags that it needs."
        ) from error
    return path.rstrip("/")


def fetched(folder: str, names: Sequence[str] | None = None) -> Path:
    """A finished output as a local folder; a remote one is copied once per process.

    Args:
        folder: The output.
        names: The files that are needed; all when absent.

    Raises:
        TfmmError: If the remote folder has no manifest.
    """
    if is_local(folder):
        return Path(folder)
    return _copied(folder, [*(names or manifest(folder)["files"]), NAME])


def fetched_tree(folder: str) -> Path:
    """The same of a folder without a manifest, such as a SavedModel."""
    return Path(folder) if is_local(folder) else _copied(folder, below(folder))


def _copied(folder: str, names: Sequence[str]) -> Path:
    folder = folder.rstrip("/")
    paths = [join(folder, name) for name in names]
    version = (folder, *zip(names, each(facts, paths), strict=True))

    def fill(place: Path) -> None:
        def copy(path: str) -> None:
            write(str(place / path.removeprefix(f"{folder}/")), content(path))

        each(copy, paths)

    return local_copy(version, fill)
