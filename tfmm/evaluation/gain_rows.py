"""The lines of the gain card, as values and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfmm.errors import TfmmError
from tfmm.evaluation.gain_values import Cost, Gain, Part, Scores, part_of
from tfmm.evaluation.item_groups import ItemGroup

if TYPE_CHECKING:
    import rich.console

PRODUCTION = "production"
_OPENS = "simtier_make"
_TITLES = {
    "id_only": "ID-only",
    "vector": "+ vector",
    "simscore": "+ SimScore",
    "simtier": "+ SimTier",
    "make": "+ MAKE",
    "simtier_make": "+ SimTier + MAKE",
    "muse": "+ MUSE",
    "best": "simulator's best",
}


def title_of(name: str) -> str:
    """A row's name as tables show it."""
    return _TITLES.get(name, name.replace("_", " "))


@dataclass(frozen=True)
class GainRow:
    """One line of the gain card.

    Attributes:
        name: the run's name, such as "simtier_make".
        kind: "model", "production" (the logged score), "bar" (a score to beat) or
            "best" (the true probability).
        total: on all rows.
        new_items: on items that were not in training, where these are known.
        groups: by item frequency, the rarest trained items first.
        cost: what the model takes, where it was measured.
    """

    name: str
    kind: str
    total: Part
    new_items: Part | None = None
    groups: tuple[Part, ...] = ()
    cost: Cost | None = None

    @property
    def title(self) -> str:
        """The name as tables show it."""
        return title_of(self.name)

    @property
    def all(self) -> Scores:
        """Metrics on all rows."""
        return self.total.scores

    @property
    def all_gain(self) -> Gain:
        """Differences to the baseline on all rows."""
        return self.total.gain

    @property
    def new(self) -> Scores | None:
        """Metrics on new items."""
        return self.new_items.scores if self.new_items else None

    @property
    def new_gain(self) -> Gain | None:
        """Differences to the baseline on new items."""
        return self.new_items.gain if self.new_items else None


@dataclass(frozen=True)
class GainTable:
    """The gain card: all lines, the baseline first, the best reachable at the end.

    Attributes:
        baseline: name of the row that gains refer to.
        rows: the lines.
        groups: what the item-frequency groups are, the rarest first.
        draws: resamples behind every interval.
    """

    baseline: str
    rows: tuple[GainRow, ...]
    groups: tuple[ItemGroup, ...] = ()
    draws: int = 0

    def __getitem__(self, name: str) -> GainRow:
        found = [row for row in self.rows if row.name == name]
        if not found:
            raise TfmmError(
                f"The gain table has no row {name!r}. "
                f"Received: {[row.name for row in self.rows]}. Name one of these."
            )
        return found[0]

    def __contains__(self, name: str) -> bool:
        return any(row.name == name for row in self.rows)

    @property
    def opening(self) -> GainRow | None:
        """The row that the card opens with: SimTier + MAKE, else the last model."""
        models = [row for row in self.rows if row.kind == "model"]
        models = [row for row in models if row.name != self.baseline]
        if not models:
            return None
        return next((row for row in models if row.name == _OPENS), models[-1])

    @property
    def title(self) -> str:
        """What the card is about."""
        return f"Gain over {title_of(self.baseline)} on the test requests"

    def slowdown(self, row: GainRow) -> float | None:
        """A row's training step in units of the ID-only model's."""
        plain = self["id_only"].cost if "id_only" in self else None
        if row.cost is None or plain is None or not plain.seconds_per_step:
            return None
        return row.cost.seconds_per_step / plain.seconds_per_step

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
            rows = tuple(map(_row, facts["rows"]))
            groups = tuple(ItemGroup(**group) for group in facts["groups"])
            return cls(facts["baseline"], rows, groups, facts["draws"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TfmmError(
                f"`{path}` is not a gain table. Received: {error!r}. "
                "Run the evaluation again."
            ) from error

    def render(self) -> rich.console.RenderableType:
        """The card for a terminal of any width, for `rich`'s `Console().print`."""
        from tfmm.evaluation.gain_render import GainCard

        return GainCard(self)


def _row(facts: Mapping[str, Any]) -> GainRow:
    return GainRow(
        facts["name"],
        facts["kind"],
        part_of(facts["total"]),
        facts["new_items"] and part_of(facts["new_items"]),
        tuple(map(part_of, facts["groups"])),
        facts["cost"] and Cost(**facts["cost"]),
    )
