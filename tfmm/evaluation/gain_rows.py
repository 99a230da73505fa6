"""The lines of the gain table, as values and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfmm.errors import TfmmError

if TYPE_CHECKING:
    import rich.table


@dataclass(frozen=True)
class Scores:
    """Metrics of one score on one set of rows; `None` where undefined there.

    AUC needs both classes, GAUC a user with both, LogLoss and calibration values
    between 0 and 1.

    Attributes:
        impressions: rows.
        positives: rows with label 1.
        users: users with both classes, on which GAUC rests.
        usable_share: their share of the rows.
        gauc: impression-weighted grouped AUC.
        auc: AUC over all rows.
        log_loss: mean negative log-likelihood in nats.
        calibration: mean predicted over mean observed rate.
    """

    impressions: int
    positives: int
    users: int
    usable_share: float
    gauc: float | None
    auc: float | None
    log_loss: float | None
    calibration: float | None


@dataclass(frozen=True)
class Gain:
    """Differences to the baseline on the same rows; `None` where undefined.

    Attributes:
        gauc: percentage points of GAUC.
        gauc_error: one standard error of `gauc`, users drawn independently.
        auc: percentage points of AUC.
        log_loss: nats; below 0 is better.
    """

    gauc: float | None
    gauc_error: float | None
    auc: float | None
    log_loss: float | None


@dataclass(frozen=True)
class GainRow:
    """One line of the gain table.

    Attributes:
        name: the run's name, such as "simtier_make".
        kind: "model", "bar" (a score to beat) or "best" (the true probability).
        all, all_gain: metrics on all rows and their differences to the baseline.
        new, new_gain: the same on items that were not in training.
    """

    name: str
    kind: str
    all: Scores
    all_gain: Gain
    new: Scores | None = None
    new_gain: Gain | None = None

    @property
    def title(self) -> str:
        """The name as tables show it."""
        return _TITLES.get(self.name, self.name.replace("_", " "))


_TITLES = {
    "id_only": "ID-only",
    "simtier": "+ SimTier",
    "make": "+ MAKE",
    "simtier_make": "+ SimTier + MAKE",
    "best": "simulator's best",
}


@dataclass(frozen=True)
class GainTable:
    """All lines, the baseline first, bars and the best reachable at the end."""

    baseline: str
    rows: tuple[GainRow, ...]

    def __getitem__(self, name: str) -> GainRow:
        found = [row for row in self.rows if row.name == name]
        if not found:
            raise TfmmError(
                f"The gain table has no row {name!r}. "
                f"Received: {[row.name for row in self.rows]}. Name one of these."
            )
        return found[0]

    def save(self, path: str | Path) -> None:
        """Writes the table as JSON."""
        text = json.dumps(asdict(self), indent=1, allow_nan=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def open(cls, path: str | Path) -> GainTable:
        """Reads what `save` wrote.

        Raises:
            TfmmError: a missing or other file.
        """
        try:
            facts = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(facts["baseline"], tuple(map(_row, facts["rows"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TfmmError(
                f"`{path}` is not a gain table. Received: {error!r}. "
                "Run the evaluation again."
            ) from error

    def render(self) -> rich.table.Table:
        """The table for a terminal: a `rich` renderable, for `Console().print`."""
        from tfmm.evaluation.gain_render import render

        return render(self)


def _row(facts: Mapping[str, Any]) -> GainRow:
    made: dict[str, Any] = dict(facts)
    for key, kind in (("all", Scores), ("new", Scores)):
        made[key] = facts[key] and kind(**facts[key])
        made[f"{key}_gain"] = facts[f"{key}_gain"] and Gain(**facts[f"{key}_gain"])
    return GainRow(**made)
