"""Runs the jobs that a trial needs: item index, vocabularies, timelines."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.identity import VARIABLE, read_secret
from tfmm.onboarding.trial_schema import written
from tfmm.schema import Schema

STAGES = ("index", "vocabularies", "timelines")
_FACTS = "prepared.json"


def prepare(
    schema: Schema, folder: Path, report: Callable[[str], None]
) -> dict[str, Path]:
    """Writes index, vocabularies and timelines, unless the folder has them already.

    Args:
        schema: The schema, with absolute paths.
        folder: The working folder.
        report: Called with a word on what starts.

    Returns:
        Stage -> folder.
    """
    folders = {name: folder / name for name in STAGES}
    facts = _facts(schema)
    if _is_done(folder, facts):
        report("jobs: done already")
        return folders
    (folder / _FACTS).unlink(missing_ok=True)
    for stage in folders.values():
        shutil.rmtree(stage, ignore_errors=True)
    _run(str(written(schema, folder)), folders, report)
    # Last: without it all three run again, with one key for all of them.
    (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    return folders


def _run(schema: str, folders: dict[str, Path], report: Callable[[str], None]) -> None:
    from beam_jobs import behaviours, item_index, vocabularies

    index, values = str(folders["index"]), str(folders["vocabularies"])
    report("item_index")
    item_index.run(schema, index)
    with key_file() as key:
        report("vocabularies")
        vocabularies.run(schema, index, values, key_file=key)
        report("behaviours")
        behaviours.run(schema, index, values, str(folders["timelines"]), key_file=key)


@contextlib.contextmanager
def key_file() -> Iterator[str | None]:
    """The file of a throw-away user key, or `None` where a key is configured.

    The file is readable by its owner alone and is gone afterwards.

    Example:
        >>> import os
        >>> with key_file() as path:
        ...     there = path is None or os.path.exists(path)
        >>> there, path is not None and os.path.exists(path)
        (True, False)
    """
    if has_key():
        yield None
        return
    handle, path = tempfile.mkstemp(prefix="tfmm-key-")  # mode 600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        yield path
    finally:
        os.unlink(path)


def has_key() -> bool:
    """Whether a user key is configured.

    Raises:
        TfmmError: If one is configured and too short.
    """
    if not os.environ.get(VARIABLE):
        return False
    read_secret()
    return True


def _facts(schema: Schema) -> dict[str, object]:
    """What the outputs depend on, but for the key, which ends with the jobs."""
    files = {}
    for name in ("items", "impressions", "events", "users"):
        table = getattr(schema, name)
        if table is not None:
            for file in {part.file for part in tables.parts(table, schema.folder)}:
                found = Path(file).stat() if "://" not in file else None
                files[file] = [found.st_size, found.st_mtime_ns] if found else None
    digest = hashlib.sha256(schema.model_dump_json().encode()).hexdigest()
    return {"schema": digest, "files": dict(sorted(files.items()))}


def _is_done(folder: Path, facts: dict[str, object]) -> bool:
    path = folder / _FACTS
    try:
        return json.loads(path.read_text(encoding="utf-8")) == json.loads(
            json.dumps(facts)
        )
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def working_folder(out: str | Path | None) -> Iterator[Path]:
    """`out`, created where absent, or a temporary folder.

    Raises:
        TfmmError: If `out` holds something else than a trial.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="tfmm-try-") as folder:
            yield Path(folder)
        return
    kept = Path(out)
    kept.mkdir(parents=True, exist_ok=True)
    ours = {*STAGES, _FACTS, "schema.yaml", "gain.json"}
    strange = sorted(p.name for p in kept.iterdir() if p.name not in ours)
    if strange and not (kept / "schema.yaml").exists():
        raise TfmmError(
            f"`{kept}` holds other files. Expected: an empty folder or an earlier "
            f"trial's. Received: {strange[:3]}. Give another --out."
        )
    yield kept
