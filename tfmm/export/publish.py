"""Publishes versions as TF Serving expects them: numbered folders that appear whole."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfmm.errors import TfmmError
from tfmm.records.manifest import is_alive

_DRAFT = ".draft-"


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


def _check_version(model: Path, version: int) -> None:
    if not 0 < version < 2**63:
        raise TfmmError(
            "`version` must be a positive int64, as TF Serving reads versions. "
            f"Received: version={version}."
        )
    if version in versions(model):
        raise TfmmError(
            f"`{model}` has this version already, and servers load a version once. "
            f"Received: version={version}. Leave it out to get the next number."
        )


def _rename(folder: Path, model: Path, version: int | None) -> Path:
    while True:
        number = version or max(versions(model), default=0) + 1
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
