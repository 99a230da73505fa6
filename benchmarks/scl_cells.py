"""The results file of a long benchmark: a line a cell, so that a run can go on."""

import json
import os
import time
from collections.abc import Callable
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


def known_cell(results: Path, key: Cell) -> Cell | None:
    """The newest cell of this key in the file, if there is one."""
    same = [cell for cell in read_cells(results) if key.items() <= cell.items()]
    return same[-1] if same else None


def cell_of(results: Path, key: Cell, make: Callable[[], Cell]) -> tuple[Cell, bool]:
    """The cell of this key, from the file or made now and added to it.

    Args:
        results: The file.
        key: What the cell is of; all that its figures depend on.
        make: Makes the figures.

    Returns:
        The cell with its `seconds`, and whether it was made now.
    """
    known = known_cell(results, key)
    if known is not None:
        return known, False
    begin = time.perf_counter()
    cell = {**key, **make(), "seconds": round(time.perf_counter() - begin, 1)}
    append_cell(results, cell)
    return cell, True


def with_spread(values: list[float]) -> str:
    """Mean and standard deviation over the seeds, of one seed its value."""
    spread = f" ±{np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"
