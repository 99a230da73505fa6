"""Output folders that appear whole or not at all, with counts and checksums.

A folder is written aside and renamed when it is complete; its `manifest.json` is the
last file written, and a folder without one is refused.
"""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfmm.errors import TfmmError

FORMAT = 1
NAME = "manifest.json"
_ASIDE = re.compile(r"\.(?P<kind>tmp|old)-(?P<process>\d+)-[0-9a-f]{8}")


@contextmanager
def writing(folder: str | Path) -> Iterator[Path]:
    """Yields a temporary folder that takes the place of `folder` on success.

    On any exception (Ctrl-C included) the temporary folder is removed and an earlier
    `folder` stays as it was.

    Args:
        folder: Where the output shall stand. An earlier output is replaced.

    Raises:
        TfmmError: If `folder` holds files and no manifest, so that it is no output.

    Example:
        >>> import tempfile
        >>> base = Path(tempfile.mkdtemp())
        >>> with writing(base / "words") as tmp:
        ...     _ = (tmp / "a.txt").write_text("hello")
        ...     write_manifest(tmp, kind="words", counts={"read": 1, "written": 1})
        >>> read_manifest(base / "words", kind="words")["files"]["a.txt"]["bytes"]
        5
    """
    folder = Path(folder).absolute()
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    tmp = folder.with_name(f"{folder.name}.tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    tmp.mkdir()
    try:
        yield tmp
        put_in_place(tmp, folder)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def write_manifest(
    folder: str | Path, kind: str, counts: Mapping[str, Any], **facts: Any
) -> None:
    """Writes `manifest.json`: kind, counts, checksums of all files, further facts.

    Args:
        folder: The folder that holds the files, usually the one `writing` yields.
        kind: What the folder is, e.g. `"catalog"`; readers check it.
        counts: `read`, `written` and `dropped` (a mapping from reason to count).
        **facts: Anything else a reader needs, JSON-serialisable.
    """
    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": file_digest(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / NAME
    }
    tmp = folder / (NAME + ".tmp")
    tmp.write_text(manifest_text(kind, counts, files, **facts), encoding="utf-8")
    tmp.rename(folder / NAME)


def manifest_text(
    kind: str,
    counts: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]],
    **facts: Any,
) -> str:
    """The content of a `manifest.json`; `files` have `bytes` and `sha256` by name."""
    manifest = {"format": FORMAT, "kind": kind, "counts": dict(counts), "files": files}
    return json.dumps({**manifest, **facts}, indent=1, sort_keys=False) + "\n"


def read_manifest(
    folder: str | Path, kind: str | None = None, verify: bool = False
) -> dict[str, Any]:
    """Reads a folder's manifest and checks that every file is there in full.

    Args:
        folder: The folder to open.
        kind: The kind expected; `None` takes any.
        verify: Whether to compare checksums too, not only sizes.

    Raises:
        TfmmError: If there is no manifest, or it is of another kind or format, or a
            file is missing, cut short or (with `verify`) changed.
    """
    folder = Path(folder)
    path = folder / NAME
    if not path.is_file():
        raise TfmmError(
            f"`{folder}` has no {NAME}, so it is not a finished output. "
            "Run the stage that writes it; what it may hold so far is not read."
        )
    manifest = parsed_manifest(path.read_text(encoding="utf-8"), folder, kind)
    for name, fact in manifest["files"].items():
        _check_file(folder / name, fact, verify)
    return manifest


def parsed_manifest(
    text: str, folder: str | Path, kind: str | None = None
) -> dict[str, Any]:
    """A manifest from its text.

    Args:
        text: Content of a `manifest.json`.
        folder: Where it stands, for errors.
        kind: The kind expected; `None` takes any.

    Raises:
        TfmmError: If it is no manifest, or of another kind or format.
    """
    path = f"{folder}/{NAME}"
    try:
        manifest = json.loads(text)
    except ValueError as error:
        raise TfmmError(
            f"`{path}` is not valid JSON. Received: {error}. Run its stage again."
        ) from error
    if manifest.get("format") != FORMAT:
        raise TfmmError(
            f"`{path}` is of another format. Expected: {FORMAT}. "
            f"Received: {manifest.get('format')}. Run its stage again."
        )
    if kind is not None and manifest.get("kind") != kind:
        raise TfmmError(
            f"`{folder}` holds something else. Expected: {kind}. "
            f"Received: {manifest.get('kind')}. Point at the folder of kind {kind}."
        )
    return manifest


def file_digest(path: Path) -> str:
    """The file's sha256 in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_file(path: Path, fact: Mapping[str, Any], verify: bool) -> None:
    size = path.stat().st_size if path.is_file() else None
    if size != fact["bytes"]:
        raise TfmmError(
            f"`{path}` is not what its manifest says. Expected: {fact['bytes']} bytes. "
            f"Received: {'no file' if size is None else f'{size} bytes'}. "
            "Run its stage again."
        )
    if verify and file_digest(path) != fact["sha256"]:
        raise TfmmError(
            f"`{path}` was changed after it was written. Expected: sha256 "
            f"{fact['sha256']}. Received: another. Run its stage again."
        )


def check_replaceable(folder: Path) -> None:
    """Refuses a folder that holds files and is no earlier output.

    Raises:
        TfmmError: If it does.
    """
    if folder.is_dir() and not (folder / NAME).is_file() and any(folder.iterdir()):
        raise not_replaceable(folder)


def not_replaceable(folder: str | Path) -> TfmmError:
    """What to say of a folder that holds files and is no earlier output."""
    return TfmmError(
        f"`{folder}` would be replaced, but it is no earlier output. Expected: no "
        f"folder, an empty one, or one with a {NAME}. Received: other files. "
        "Choose another folder, or remove this one."
    )


def put_in_place(tmp: Path, folder: Path) -> None:
    """Renames a finished folder over an earlier output, which is then removed."""
    if not folder.exists():
        tmp.rename(folder)
        return
    old = folder.with_name(f"{folder.name}.old-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    folder.rename(old)
    tmp.rename(folder)
    shutil.rmtree(old)


def remove_leftovers(folder: Path) -> None:
    """Removes what killed runs left, and only that: their process is gone."""
    for path in folder.parent.iterdir():
        found = _ASIDE.fullmatch(path.name.removeprefix(folder.name))
        if not path.name.startswith(folder.name) or not found:
            continue
        if is_alive(int(found["process"])):
            continue
        if found["kind"] == "old" and not folder.exists():
            path.rename(folder)  # Killed between the two renames of `put_in_place`.
        else:
            shutil.rmtree(path, ignore_errors=True)


def is_alive(process: int) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
