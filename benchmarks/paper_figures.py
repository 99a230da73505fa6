"""Means and spreads over the seeds, relative gains, and the orders to look for."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.paper_towers import BEST
from benchmarks.scl_cells import Cell

METRICS = ("gauc", "auc", "log_loss")


@dataclass(frozen=True)
class Spread:
    """One figure of every seed.

    Args:
        values: By seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; `None` of a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def text(self, digits: int = 2, sign: bool = False) -> str:
        """Mean and deviation."""
        shown = f"{self.mean:{'+' if sign else ''}.{digits}f}"
        spread = self.deviation
        return shown if spread is None else f"{shown} ±{spread:.{digits}f}"


class Found:
    """The cells of one shop, asked by what they are of."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = list(cells)

    def where(self, **key: Any) -> dict[int, Cell]:
        """Cells of this key by seed."""
        return {
            cell.get("seed", 0): cell
            for cell in self.cells
            if all(cell.get(name) == value for name, value in key.items())
        }

    def rankers(
        self, variant: str, tower: str = BEST, epochs: int | None = None
    ) -> dict[int, Cell]:
        """Rankers by seed: of the best tower and of MAKE's last epoch, if not told."""
        wanted = {"tower": tower} if variant != "id_only" else {}
        every = [c for c in self.cells if c.get("kind") == "ranker"]
        every = [c for c in every if c["variant"] == variant]
        last = max((c.get("make_epochs", 0) for c in every), default=0)
        return {
            cell["seed"]: cell
            for cell in every
            if all(cell.get(k) == v for k, v in wanted.items())
            and cell.get("make_epochs", 0) == (last if epochs is None else epochs)
        }

    def gain(
        self,
        rankers: dict[int, Cell],
        value: Callable[[Cell], float | None],
        better: int = 1,
    ) -> Spread | None:
        """Relative gains over the ID-only ranker of the same seed, in %.

        Args:
            rankers: By seed.
            value: A figure of a cell.
            better: -1 where less is better.
        """
        base = self.rankers("id_only")
        pairs = [
            (value(cell), value(base[seed]))
            for seed, cell in rankers.items()
            if seed in base
        ]
        gains = [
            100 * better * (a - b) / b
            for a, b in pairs
            if a is not None and b is not None
        ]
        return Spread(tuple(gains)) if gains else None


def of_shared_seeds(series: dict[Any, dict[int, Cell]]) -> dict[Any, dict[int, Cell]]:
    """Points of a curve, each of the seeds that all points have.

    While a run is under way some points have more seeds than others; means over
    different seeds would make a curve that no seed has.

    Args:
        series: Cells of every point by seed; a point without any is left out.
    """
    series = {point: cells for point, cells in series.items() if cells}
    seeds = set.intersection(*map(set, series.values())) if series else set()
    return {
        point: {seed: cells[seed] for seed in sorted(seeds)}
        for point, cells in series.items()
    }


def spread(cells: dict[int, Cell], part: str, metric: str) -> Spread | None:
    """A metric of rankers by seed."""
    values = [c[part][metric] for c in cells.values() if metric in c.get(part, {})]
    return Spread(tuple(values)) if values else None


def of(part: str, metric: str) -> Callable[[Cell], float | None]:
    """A figure of a part of a ranker's cell."""

    def value(cell: Cell) -> float | None:
        return cell[part].get(metric)

    return value


def of_group(number: int, metric: str) -> Callable[[Cell], float | None]:
    """A figure of an item group of a ranker's cell."""

    def value(cell: Cell) -> float | None:
        groups = cell["groups"]
        return groups[number].get(metric) if number < len(groups) else None

    return value


def in_order(what: str, ladders: Iterable[Sequence[float]]) -> str:
    """Whether figures rise: of the means, and in how many seeds.

    Args:
        what: The order, in words.
        ladders: The figures by seed.

    Example:
        >>> in_order("a < b", [(0.1, 0.2), (0.3, 0.2)])
        'a < b: NO in the mean (0.20, 0.20); in 1 of 2 seeds'
    """
    rows = [tuple(ladder) for ladder in ladders]
    if not rows:
        return f"{what}: not measured yet"
    means = np.mean(rows, axis=0)
    yes = "yes" if (np.diff(np.round(means, 9)) > 0).all() else "NO"
    seeds = sum(bool((np.diff(row) > 0).all()) for row in rows)
    shown = ", ".join(f"{mean:.2f}" for mean in means)
    return f"{what}: {yes} in the mean ({shown}); in {seeds} of {len(rows)} seeds"
