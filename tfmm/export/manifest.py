"""An export's manifest: what it was made of and what it consists of."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export.graph import SERVER, read_graph, signatures, variable_bytes

FACTS = Path("assets.extra") / "tfmm.json"
_PACKAGES = ("tfmm", "tensorflow", "keras")


def write_facts(folder: Path, model: str, facts: Mapping[str, Any]) -> Path:
    """Writes `assets.extra/tfmm.json`, the last file of an export.

    Args:
        folder: The draft, with all of its other files.
        model: The model's name.
        facts: What the export says of itself, e.g. fingerprints and metrics.
    """
    files = {
        str(path.relative_to(folder)): _of_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / FACTS
    }
    document = {
        "format": 2,
        "model": model,
        "server": SERVER,
        "versions": _versions(),
        **facts,
        "signatures": _signatures(folder),
        "variables": variable_bytes(read_graph(folder)),
        "bytes": _by_part(files),
        "files": files,
    }
    path = folder / FACTS
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def read_facts(folder: Path) -> dict[str, Any]:
    """Reads a version's manifest.

    Raises:
        TfmmError: If it has none, or none that can be read.
    """
    try:
        found = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TfmmError(
            f"`{folder}` has no manifest `{FACTS}`. Received: {error}. "
            "Export with tfmm, or copy the whole folder."
        ) from error
    if not isinstance(found, dict):
        raise TfmmError(f"The manifest of `{folder}` is no object. Export again.")
    return found


def _by_part(files: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Bytes of the graph, the variables, the assets, ..."""
    found: dict[str, int] = {}
    for name, file in files.items():
        part = Path(name).parts[0]
        found[part] = found.get(part, 0) + file["bytes"]
    return found


def _of_file(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _versions() -> dict[str, str | None]:
    return {
        "python": platform.python_version(),
        **{package: _installed(package) for package in _PACKAGES},
    }


def _installed(package: str) -> str | None:
    try:
        return installed(package)
    except PackageNotFoundError:
        return None


def _signatures(folder: Path) -> dict[str, Any]:
    def shown(tensors: Mapping[str, Any]) -> dict[str, str]:
        return {
            name: f"{tf.as_dtype(tensor.dtype).name}"
            f"{[d.size if d.size >= 0 else None for d in tensor.tensor_shape.dim]}"
            for name, tensor in sorted(tensors.items())
        }

    return {
        name: {"inputs": shown(found.inputs), "outputs": shown(found.outputs)}
        for name, found in sorted(signatures(read_graph(folder)).items())
    }
