"""What the report reads about the stages: counts, histories, the served answer."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tfmm.evaluation.report_json import read_json
from tfmm.records.manifest import NAME

_ORDER = [
    "input",
    "index",
    "items",
    "pairs",
    "vocabularies",
    "timelines",
    "encoders",
    "catalog",
    "make",
    "rankers",
    "evaluation",
    "saved_models",
]
# Whose rows a stage's own, unnamed counts are about.
_SOURCES = {"items": "items", "pairs": "searches", "timelines": "impressions"}
# Metrics that say how a fit behaves, not what it reaches.
_MONITORS = re.compile(r".*(temperature|bank_\w+|std|uniformity|distinct)")


@dataclass(frozen=True)
class StageCounts:
    """Records of one stage, or of one of its tables.

    Attributes:
        stage: the folder below the run's output.
        table: which records, when the stage counts several kinds; may be empty.
        read: number of records read; `None` for a stage that only generates.
        written: number of records that went on.
        dropped: reason -> number of records.
        notes: further counts, such as caps, that say nothing about lost records.
        parts: how the written ones spread over train, validation and test.
    """

    stage: str
    table: str
    read: int | None
    written: int
    dropped: Mapping[str, int]
    notes: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Records neither written nor dropped for a reason; 0 in a sound stage."""
        if self.read is None:
            return 0
        return self.read - self.written - sum(self.dropped.values())

    @property
    def source(self) -> str:
        """The input table that these records come from, where that is known."""
        return self.table or _SOURCES.get(self.stage, "")


@dataclass(frozen=True)
class Curves:
    """The metrics of one `fit`, per epoch, training and validation side by side.

    Attributes:
        name: whose they are, such as "SCL".
        epochs: how many epochs.
        charts: metric -> {"training": values, "validation": values}.
    """

    name: str
    epochs: int
    charts: Mapping[str, Mapping[str, list[float]]]

    @property
    def reached(self) -> dict[str, Mapping[str, list[float]]]:
        """The charts of losses and accuracies."""
        return {k: v for k, v in self.charts.items() if not _MONITORS.fullmatch(k)}

    @property
    def monitors(self) -> dict[str, Mapping[str, list[float]]]:
        """The charts of temperatures, memory banks and the vectors' spread."""
        return {k: v for k, v in self.charts.items() if k not in self.reached}


def stage_counts(out: Path) -> list[StageCounts]:
    """The counts of every finished stage below a run's output folder."""
    found = []
    for folder in _finished(out, out):
        manifest = read_json(folder / NAME)
        found += _stage(folder.relative_to(out).as_posix(), manifest)
    return sorted(found, key=lambda stage: (_rank(stage.stage), stage.stage))


def count_faults(stages: Sequence[StageCounts]) -> list[str]:
    """Where records went missing: within a stage, or between the input and a stage."""
    faults = [
        f"{stage.stage} {stage.table}".strip() + f": {stage.lost:,} records of "
        f"{stage.read:,} read are neither written nor dropped for a reason."
        for stage in stages
        if stage.lost
    ]
    faults += [
        f"{stage.stage}: {sum(stage.parts.values()):,} records in {len(stage.parts)} "
        f"parts of {stage.written:,} written."
        for stage in stages
        if stage.parts and sum(stage.parts.values()) != stage.written
    ]
    given = {s.table: s.written for s in stages if s.stage == "input" and s.table}
    for stage in stages:
        expected = given.get(stage.source, stage.read)
        if stage.stage != "input" and stage.read != expected:
            faults.append(
                f"{stage.stage}: {stage.read or 0:,} {stage.source} read of "
                f"{expected:,} in the input."
            )
    return faults


def fit_curves(out: Path) -> list[Curves]:
    """The training histories of SCL, MAKE and the rankers, where they exist."""
    places = {"SCL": out / "encoders", "MAKE": out / "make"}
    for folder in sorted((out / "rankers").glob("*/")):
        places[f"Ranker {folder.name}"] = folder
    found = [
        _curves(name, read_json(folder / "history.json"))
        for name, folder in places.items()
        if (folder / "history.json").is_file()
    ]
    return [curves for curves in found if curves.epochs]


@dataclass(frozen=True)
class Finals:
    """Fits of one epoch that measure the same, as one table.

    Attributes:
        kind: "SCL", "MAKE" or "Ranker".
        names: the fits, one column each.
        lines: "metric, side" and its value in each fit.
    """

    kind: str
    names: list[str]
    lines: list[tuple[str, list[float]]]


def single_epochs(curves: Sequence[Curves]) -> list[Finals]:
    """Tables instead of curves for fits of one epoch."""
    groups: dict[tuple[str, ...], dict[str, dict[str, float]]] = {}
    for fit in (fit for fit in curves if fit.epochs == 1):
        values = {
            f"{metric}, {side}": line[0]
            for metric, sides in fit.charts.items()
            for side, line in sides.items()
        }
        kind, _, name = fit.name.partition(" ")
        groups.setdefault((kind, *values), {})[name or kind] = values
    return [
        Finals(kind, [*fits], [(m, [fit[m] for fit in fits.values()]) for m in metrics])
        for (kind, *metrics), fits in groups.items()
    ]


def _finished(folder: Path, out: Path) -> list[Path]:
    """Folders with a manifest; what lies inside one (its own index) is part of it."""
    if folder != out and (folder / NAME).is_file():
        return [folder]
    inside = [e for e in os.scandir(folder) if e.is_dir() and ".tmp-" not in e.name]
    names = sorted(entry.path for entry in inside)
    return [found for name in names for found in _finished(Path(name), out)]


def _stage(name: str, manifest: Mapping[str, Any]) -> list[StageCounts]:
    """A manifest's own counts, and those of the tables it names separately."""
    counts = manifest.get("counts") or {}
    if isinstance(counts.get("written"), Mapping):
        left_out = {k: n for k, n in counts.get("dropped", {}).items() if n}
        made = [
            StageCounts(name, table, None, written, {})
            for table, written in counts["written"].items()
        ]
        return [replace(stage, notes=left_out) for stage in made[:1]] + made[1:]
    facts = {**counts, **manifest}
    tables = [(k, v) for k, v in facts.items() if k != "counts" and _is_counts(v)]
    found = [_counts(name, table, c) for table, c in tables]
    if not _is_counts(counts):
        return found
    parts = {
        part: n["written"] if isinstance(n, Mapping) else n
        for part, n in manifest.get("parts", {}).items()
    }
    return [replace(_counts(name, "", counts), parts=parts), *found]


def _is_counts(value: Any) -> bool:
    return isinstance(value, Mapping) and {"read", "written"} <= value.keys()


def _counts(stage: str, table: str, counts: Mapping[str, Any]) -> StageCounts:
    notes = {
        key: value
        for key, value in counts.items()
        if key not in ("read", "written", "dropped") and isinstance(value, int)
    }
    dropped = {reason: n for reason, n in counts.get("dropped", {}).items() if n}
    read, written = counts["read"], counts["written"]
    return StageCounts(stage, table, read, written, dropped, notes)


def _rank(name: str) -> int:
    first = name.split("/")[0]
    return _ORDER.index(first) if first in _ORDER else len(_ORDER)


def _curves(name: str, history: Mapping[str, list[float]]) -> Curves:
    charts: dict[str, dict[str, list[float]]] = {}
    for key, values in history.items():
        side = "validation" if key.startswith("val_") else "training"
        charts.setdefault(key.removeprefix("val_"), {})[side] = list(values)
    charts.pop("learning_rate", None)
    longest = max((len(values) for values in history.values()), default=0)
    return Curves(name, longest, charts)
