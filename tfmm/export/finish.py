"""The last steps of every export: warm-up, facts, and the proof that it answers."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from tfmm.export.graph import check_graph
from tfmm.export.verify import check_equal, run_as_server
from tfmm.export.warmup import Answered, Call, write_warmup

FACTS = Path("assets.extra") / "tfmm.json"


def finish(
    folder: Path,
    model: str,
    answered: Sequence[Answered],
    warmup: Sequence[Call],
    facts: Mapping[str, Any],
) -> None:
    """Writes what goes with a SavedModel and proves it before it is published.

    Args:
        folder: The draft, a SavedModel.
        model: The model's name.
        answered: Calls with what the model in memory answers.
        warmup: Calls that servers replay before the version goes live.
        facts: What `assets.extra/tfmm.json` says besides the versions.

    Raises:
        TfmmError: If a server could not run it, or it answers anything else.
    """
    count = write_warmup(folder, model, warmup)
    versions = {name: _installed(name) for name in ("tfmm", "tensorflow", "keras")}
    text = json.dumps(
        {"format": 1, "model": model, "versions": versions, "warmup": count, **facts},
        indent=1,
    )
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")
    check_graph(folder)
    calls = [*warmup, *(found.call for found in answered)]
    results = run_as_server(folder, calls)[len(warmup) :]
    for found, result in zip(answered, results, strict=True):
        check_equal(result, found.outputs, model)


def _installed(package: str) -> str | None:
    try:
        return installed(package)
    except PackageNotFoundError:
        return None
