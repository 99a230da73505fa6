"""The files that a pattern names, on this machine and on remote file systems."""

import glob
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs as fs

from tfmm.errors import TfmmError

Facts = tuple[int, int] | None


def matching(pattern: str, folder: Path) -> list[str]:
    """The files of a path, URI or glob, in the order of their names.

    Args:
        pattern: What to look for; without `://` relative to the folder.
        folder: Where relative paths start.

    Raises:
        TfmmError: If there is none.
    """
    remote = "://" in pattern
    path = pattern if remote else str(folder / pattern)
    found = _remote(path) if remote else _local(path)
    if not found:
        raise TfmmError(
            f"There is no file `{path}`. Expected: a .parquet, .csv or .jsonl "
            "file, or a glob that finds some. Correct `files` in the schema."
        )
    return found


def facts(file: str) -> Facts:
    """Bytes and time of the last change (ns) of a file; `None` where there is none."""
    if "://" not in file:
        found = os.stat(file) if os.path.isfile(file) else None
        return (found.st_size, found.st_mtime_ns) if found else None
    system, path = _system(file)
    info = system.get_file_info(path)
    return (info.size, info.mtime_ns) if info.is_file else None


def _local(path: str) -> list[str]:
    return [path] if Path(path).is_file() else sorted(glob.glob(path))


def _remote(pattern: str) -> list[str]:
    """The files of a URI, in whose last parts `*` and `[...]` are patterns."""
    uri, _, query = pattern.partition("?")
    plain = re.match(r"(.+://[^*[]*)/(.*)", uri)
    if plain is None or not re.search(r"[*[]", uri):
        return [pattern]
    base, wanted = plain[1], plain[2].split("/")
    query = query and f"?{query}"
    system, root = _system(base + query)
    select = fs.FileSelector(root, allow_not_found=True, recursive=len(wanted) > 1)
    names = [
        each.path.removeprefix(root).lstrip("/")
        for each in system.get_file_info(select)
        if each.is_file
    ]
    found = sorted(name for name in names if _fits(name.split("/"), wanted))
    return [f"{base}/{quote(name)}{query}" for name in found]


def _fits(parts: list[str], wanted: list[str]) -> bool:
    """Whether every part of a path fits its pattern; `*` finds no hidden files."""
    return len(parts) == len(wanted) and all(
        fnmatchcase(part, pattern) and part.startswith(".") <= pattern.startswith(".")
        for part, pattern in zip(parts, wanted, strict=True)
    )


def _system(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        return fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, OSError) as error:
        raise TfmmError(
            f"`{uri}` cannot be reached. Expected: a path, or a URI of a file system "
            f"that Arrow knows, such as gs:// or s3://. Received: {error}. Correct "
            "`files` in the schema."
        ) from error
