"""What the report shows of pre-training: Acc@N by slice, probes, neighbour sheets."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmm.evaluation.report_serving import read_optional


@dataclass(frozen=True)
class Retrieval:
    """One task of SCL on the test pairs.

    Attributes:
        name: Such as "image".
        task: Such as "search:image->image".
        queries: Test pairs.
        candidates: Distinct items among which each query looks for its own.
        numbers: "acc@1", "std" and so on.
        slices: Tables of Acc@N, by how often an item was trained and by attribute.
        probes: Attributes read off the vectors.
        sheet: A `data:` URI of the neighbour sheet, or empty.
    """

    name: str
    task: str
    queries: int
    candidates: int
    numbers: Mapping[str, float]
    slices: Sequence[Mapping[str, Any]]
    probes: Sequence[Mapping[str, Any]]
    sheet: str


def retrieval(out: Path) -> list[Retrieval]:
    """The tasks of a run's pre-training; none if it has not run."""
    folder = out / "encoders"
    facts = read_optional(folder / "retrieval.json") or {}
    return [
        Retrieval(
            name,
            found["task"],
            found["queries"],
            found["candidates"],
            found.get("numbers", {}),
            found.get("slices", []),
            found.get("probes", []),
            _sheet(folder / f"neighbours_{name}.png"),
        )
        for name, found in facts.items()
    ]


def _sheet(path: Path) -> str:
    if not path.is_file():
        return ""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
