"""Proves an export from its files alone, as a server would load and run it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tfmm.errors import TfmmError
from tfmm.export.c_api import LoadedAsServer
from tfmm.export.golden import check_answer, check_equal, read_golden
from tfmm.export.graph import CHECKS, SERVER
from tfmm.export.manifest import read_facts
from tfmm.export.publish import versions
from tfmm.export.variations import alone, cut_to, padded, reversed_order, rows_of
from tfmm.export.warmup import MAX_RECORDS, Answered, Call, read_warmup


class Finding(NamedTuple):
    """What one check saw.

    Args:
        name: The check.
        ok: Whether it passed.
        seen: What was seen, or what is wrong.
    """

    name: str
    ok: bool
    seen: str


def verify(folder: str | Path, server: str = SERVER) -> list[Finding]:
    """Runs every check on a version; all of them, whatever fails.

    Its files against the manifest's checksums; the graph against what a stock TF
    Serving has; then, in a process without Keras, through TensorFlow's C API with XLA
    switched off: the warm-up requests, the golden requests against the model that was
    trained, and these one by one, in another order and with columns beyond the counts.

    Args:
        folder: A version's folder, or a model's, of which the newest is meant.
        server: Version of the server that shall run it.

    Raises:
        TfmmError: If there is no version.
    """
    folder = version_folder(folder)
    findings = [_tried("files", partial(_check_files, folder))]
    findings += [
        _tried(name, partial(check, folder, server)) for name, check in CHECKS.items()
    ]
    return findings + list(_replayed(folder))


def refuse_failures(folder: Path, findings: Sequence[Finding]) -> None:
    """Raises what is wrong, all of it.

    Raises:
        TfmmError: If any check failed.
    """
    failed = [f"{found.name}: {found.seen}" for found in findings if not found.ok]
    if failed:
        raise TfmmError(
            f"`{folder}` is not fit to be served; nothing was published. Received: "
            + "; ".join(failed)
        )


def version_folder(folder: str | Path) -> Path:
    """The folder itself if it is a version's, else the newest version in it.

    Raises:
        TfmmError: If it is neither a version nor a model with one.
    """
    folder = Path(folder)
    if (folder / "saved_model.pb").is_file():
        return folder
    found = versions(folder)
    if not found:
        raise TfmmError(
            f"`{folder}` is no version of a model and has none. Expected: "
            "saved_models/MODEL/VERSION or saved_models/MODEL. Export first."
        )
    return folder / str(found[-1])


def _tried(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except TfmmError as error:
        return Finding(name, False, str(error))
    except Exception as error:
        # A damaged file may break any parser; the other checks go on.
        return Finding(name, False, f"{type(error).__name__}: {error}")


def _check_files(folder: Path) -> str:
    facts = read_facts(folder)
    listed: dict[str, Any] = facts.get("files", {})
    if not listed:
        raise TfmmError(
            f"The manifest of `{folder}` lists no files. Export again with this tfmm."
        )
    wrong = [name for name, file in listed.items() if _differs(folder / name, file)]
    if wrong:
        raise TfmmError(
            "Files are not as they were exported. "
            f"Received: {wrong[:5]} of {len(listed)}. Copy the version again."
        )
    size = sum(file["bytes"] for file in listed.values())
    return f"{len(listed)} files, {size:,} bytes, as they were exported"


def _differs(path: Path, listed: Any) -> bool:
    if not path.is_file() or path.stat().st_size != listed["bytes"]:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() != listed["sha256"]


class _Replay(NamedTuple):
    name: str
    calls: list[Answered]
    not_asked: list[str] = []


def _replayed(folder: Path) -> Iterator[Finding]:
    try:
        groups = list(_groups(folder))
        model = LoadedAsServer(folder)
    except Exception as error:
        yield Finding("loads", False, str(error))
        return
    with model:
        found = [_tried(g.name, partial(_compared, g, model)) for g in groups]
    yield Finding("loads", True, f"in {model.seconds:.1f} s{_memory(model)}")
    yield from found


def _memory(model: LoadedAsServer) -> str:
    if model.peak_bytes is None or model.before_bytes is None:
        return ""
    taken = (model.peak_bytes - model.before_bytes) / 2**20
    return f"; {taken:,.0f} MiB at most, calls included"


def _groups(folder: Path) -> Iterator[_Replay]:
    warmup = list(read_warmup(folder))
    if len(warmup) > MAX_RECORDS:
        raise TfmmError(f"More than {MAX_RECORDS} warm-up requests: {len(warmup)}.")
    golden = list(read_golden(folder))
    yield _Replay("warm-up", [Answered(call, {}) for call in warmup])
    yield _Replay("golden requests", golden)
    yield _Replay("one by one", [one for found in golden for one in alone(found)])
    yield _Replay("other order", [reversed_order(found) for found in golden])
    wide = {found.call.signature: padded(found) for found in golden}
    yield _Replay(
        "more columns",
        [found for found in wide.values() if found is not None],
        sorted(name for name, found in wide.items() if found is None),
    )


def _compared(group: _Replay, model: LoadedAsServer) -> str:
    largest = 0.0
    for found in group.calls:
        what = f"signature `{found.call.signature}`"
        result = model.run(found.call)
        if isinstance(result, str):
            raise TfmmError(f"{what} fails: {result}")
        check_answer(result, rows_of(found.call), what)
        expected = found.outputs
        if group.name in ("one by one", "more columns"):
            result = cut_to(result, expected)
            expected = cut_to(expected, result)
        largest = max(largest, check_equal(result, expected, what))
    count = f"{len(group.calls)} calls"
    if group.not_asked:
        count += f" (without counts: {', '.join(group.not_asked)})"
    if not any(found.outputs for found in group.calls):
        return f"{count} answered"
    return f"{count}, largest difference {largest:.1e}"


def as_json(findings: Sequence[Finding]) -> str:
    """The findings as JSON, for scripts."""
    return json.dumps([found._asdict() for found in findings], indent=1)


__all__ = ["Call", "Finding", "as_json", "refuse_failures", "verify", "version_folder"]
