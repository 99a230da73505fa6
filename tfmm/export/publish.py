"""Publishes versions as TF Serving expects them: numbered folders that appear whole."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfmm.errors import TfmmError
from tfmm.records.manifest import is_alive

_DRAFT = ".draft-"
_WITHDRAWN = "withdrawn-"


@dataclass
class Draft:
    """A version in the making.

    Args:
        folder: Where to write the SavedModel.
        published: The numbered folder it became; `None` until then.
    """

    folder: Path
    published: Path | None = None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder, which the next export removes should this one be killed.

        It lies beside the draft under its name: no server takes it for a version.
        """
        prefix = f"{self.folder.name}-"
        with tempfile.TemporaryDirectory(None, prefix, self.folder.parent) as folder:
            yield Path(folder)


@contextmanager
def new_version(model: str | Path, version: int | None = None) -> Iterator[Draft]:
    """Yields a draft that becomes the model's next version on success.

    The draft lies in the model's folder under a name that no server takes for a
    version, so publishing is one rename on one file system. On any exception it is
    removed, and nothing is published.

    Args:
        model: The model's folder, e.g. `saved_models/ranker`.
        version: The version's number; the next free one when absent.

    Raises:
        TfmmError: If the version is not a positive integer or stands already.

    Example:
        >>> import tempfile
        >>> base = Path(tempfile.mkdtemp())
        >>> with new_version(base) as draft:
        ...     _ = (draft.folder / "saved_model.pb").write_bytes(b"...")
        >>> draft.published.name
        '1'
    """
    model = Path(model)
    if version is not None:
        _check_version(model, version)
    model.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(model)
    draft = Draft(model / f"{_DRAFT}{os.getpid()}-{uuid.uuid4().hex[:8]}")
    draft.folder.mkdir()
    try:
        yield draft
        draft.published = _rename(draft.folder, model, version)
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


def versions(model: str | Path) -> list[int]:
    """The numbers of the version folders, lowest first.

    Any folder whose whole name is a number counts, as in TF Serving.
    """
    model = Path(model)
    if not model.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in model.iterdir()
        if path.name.isascii() and path.name.isdigit() and path.is_dir()
    )


def version_folder(model: Path, number: int) -> Path:
    """A standing version's folder; its name may have zeros before the number."""
    return next(
        path
        for path in model.iterdir()
        if path.name.isascii() and path.name.isdigit() and int(path.name) == number
    )


def withdrawn_folder(model: Path, number: int) -> Path:
    """Where a version is once it is rolled back; no server takes it for a version."""
    return model / f"{_WITHDRAWN}{number}"


def withdrawn(model: str | Path) -> list[int]:
    """The numbers of versions that were rolled back, lowest first."""
    names = (path.name for path in Path(model).glob(f"{_WITHDRAWN}*"))
    numbers = (name.removeprefix(_WITHDRAWN) for name in names)
    return sorted(int(number) for number in numbers if number.isdigit())


def rollback(model: str | Path, to: int | None = None) -> list[int]:
    """Withdraws a model's newest versions, so that servers go back to an older one.

    A version is withdrawn by one rename to `withdrawn-N`, which no server takes for a
    version; its number is never given again, for a server that knew it would not load
    it anew. Servers that look for versions serve version `to` within their next look.

    Args:
        model: The model's folder, e.g. `saved_models/ranker`.
        to: The version to go back to; the one before the newest when absent.

    Returns:
        The versions withdrawn, newest first.

    Raises:
        TfmmError: If there is no such version, or none to go back to.

    Example:
        >>> import tempfile
        >>> base = Path(tempfile.mkdtemp())
        >>> for number in ("1", "2"):
        ...     (base / number).mkdir()
        >>> rollback(base), versions(base), withdrawn(base)
        ([2], [1], [2])
    """
    model = Path(model)
    found = versions(model)
    kept = to if to is not None else (found[-2] if len(found) > 1 else None)
    if kept not in found or kept == found[-1]:
        raise TfmmError(
            f"`{model}` has no older version to go back to. Expected: one of "
            f"{found[:-1]}. Received: {'the newest alone' if to is None else to}. "
            "Name a version that stands, and is not the newest."
        )
    gone = [number for number in reversed(found) if number > kept]
    for number in gone:
        version_folder(model, number).rename(withdrawn_folder(model, number))
    return gone


def _check_version(model: Path, version: int) -> None:
    if not 0 < version < 2**63:
        raise TfmmError(
            "`version` must be a positive int64, as TF Serving reads versions. "
            f"Received: version={version}."
        )
    if version in versions(model) + withdrawn(model):
        raise TfmmError(
            f"`{model}` has this version already, and servers load a version once. "
            f"Received: version={version}. Leave it out to get the next number."
        )


def _rename(folder: Path, model: Path, version: int | None) -> Path:
    while True:
        number = version or max(versions(model) + withdrawn(model), default=0) + 1
        target = model / str(number)
        try:
            os.rename(folder, target)
        except OSError as error:
            # Another export took the number since it was chosen.
            if version is None and target.exists():
                continue
            raise TfmmError(
                f"Could not publish `{target}`. Received: {error}. "
                "Free the number or the disk and export again."
            ) from error
        return target


def _remove_leftovers(model: Path) -> None:
    """Removes the drafts of killed exports, and only those: their process is gone."""
    for path in model.glob(f"{_DRAFT}*"):
        process = path.name.removeprefix(_DRAFT).split("-")[0]
        if process.isdigit() and not is_alive(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def write_models_config(base: str | Path) -> Path:
    """Writes `models.config`, which tells TF Serving of every model below a folder.

    The file names absolute paths, as TF Serving wants them, so it belongs to this
    machine and is no part of a repository.

    Args:
        base: The folder of all models, e.g. `saved_models`.
    """
    base = Path(base).absolute()
    names = [path.name for path in sorted(base.iterdir()) if versions(path)]
    blocks = [
        f"  config {{\n    name: {_quoted(name)}\n"
        f"    base_path: {_quoted(str(base / name))}\n"
        '    model_platform: "tensorflow"\n  }\n'
        for name in names
    ]
    target = base / "models.config"
    draft = base / f".models.config-{uuid.uuid4().hex[:8]}"
    text = "model_config_list {\n" + "".join(blocks) + "}\n"
    draft.write_text(text, encoding="utf-8")
    draft.replace(target)
    return target


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
