"""The last steps of every export: warm-up, golden requests, manifest, and the proof."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfmm.export.golden import write_golden
from tfmm.export.manifest import write_facts
from tfmm.export.verify import refuse_failures, verify
from tfmm.export.warmup import Answered, Call, write_warmup


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
        answered: Calls with what the model in memory answers: the golden requests.
        warmup: Calls that servers replay before the version goes live.
        facts: What the manifest says besides.

    Raises:
        TfmmError: If a server could not run it, or it answers anything else.
    """
    counts = {
        "warmup": write_warmup(folder, model, warmup),
        "golden": write_golden(folder, model, answered),
    }
    write_facts(folder, model, {**counts, **facts})
    refuse_failures(folder, verify(folder))
