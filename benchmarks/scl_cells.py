"""The results file of a long benchmark: a line a cell, so that a run can go on."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

Cell = dict[str, Any]


def read_cells(results: Path) -> list[Cell]:
    """The cells done so far; a last line that was cut off is taken out of the file."""
    if not results.exists():
        return []
    text = results.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        results.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def append_cell(results: Path, cell: Cell) -> None:
    """Adds a cell, on disk before the next one begins."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        file.write(json.dumps(cell) + "\n")
        file.flush()
        os.fsync(file.fileno())


def with_spread(values: list[float]) -> str:
    """Mean and standard deviation over the seeds, of one seed its value."""
    spread = f" ±{np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"
