"""The paper's ranking results in our setting: one report, our figures beside theirs.

    python -m benchmarks.paper_tables [--size smoke|standard] [--data movielens]

Table 3 (ways to use the vectors), figure 3 (test GAUC by epoch, ID-only and MAKE), 6(a)
(Acc@1 of the tower against the gain), 6(b) (gain by item frequency) and 6(c) (epochs of
MAKE), images only as in the paper, on a simulated marketplace or on MovieLens with
posters, from `TFMM_DATA`. Each cell is a line of the results file; Ctrl-C and a second
run go on with the cell that was under way. The report is Markdown, JSON and HTML.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from benchmarks.paper_data import Shop
from benchmarks.paper_report import write_report
from benchmarks.paper_towers import BEST, TOWERS, TRUTH, trained_tower, true_vectors
from benchmarks.paper_trial import JOINT, Size, Trial
from benchmarks.scl_cells import Cell, cell_of, known_cell
from tfmm.road.ranking_recipe import VARIANTS, names_of

OUT = Path("out/benchmarks")
# MAKE whose MLP sees v_MAKE alone, as eq. 4 is printed.
PRINTED = "_printed"
SIZES = ("smoke", "standard")
_SMOKE = {
    "marketplace": {
        "items": 300,
        "users": 200,
        "searches": 400,
        "requests": 8.0,
        "days": 8,
    },
    "movielens": {"users": 60},
}


@dataclass(frozen=True)
class Work:
    """Cells of one shop: what they are, and how each is made."""

    shop: Shop
    size: Size
    results: Path

    def cells(self) -> Iterator[Cell]:
        """Keys of all cells: towers, then Table 3 of all seeds, then the figures."""
        for name in TOWERS[self.shop.name]:
            yield {"kind": "tower", "tower": name}
        for seed in self.size.seeds:
            yield {"kind": "make", "seed": seed}
            for variant in VARIANTS:
                yield self._ranker(variant, seed)
        for seed in self.size.seeds:
            for epochs in self.size.snapshots[:-1]:
                yield self._ranker("make", seed, epochs=epochs)
            for tower in TOWERS[self.shop.name]:
                if tower != BEST:
                    yield self._ranker("simtier", seed, tower)
            if self.shop.name == "marketplace":
                yield self._ranker("simtier", seed, TRUTH)
            yield {"kind": "ids", "reset": False, "seed": seed}
            yield {"kind": "ids", "reset": True, "seed": seed}
            yield {"kind": "make_printed", "seed": seed}
            yield self._ranker("make_printed", seed)
            yield self._ranker("simtier_make_printed", seed)

    def _ranker(
        self, variant: str, seed: int, tower: str = BEST, epochs: int | None = None
    ) -> Cell:
        key: Cell = {"kind": "ranker", "variant": variant, "seed": seed}
        if variant != "id_only":
            key["tower"] = tower
        if "make" in names_of(_interests(variant)):
            key["make_epochs"] = self.size.epochs if epochs is None else epochs
        return key

    def run(self, cell: Cell) -> tuple[Cell, bool]:
        """The cell with its figures, and whether it was made now."""
        return cell_of(self.results, self._key(cell), lambda: self._made(cell))

    def done(self) -> list[Cell]:
        """The cells that are there already."""
        known = [known_cell(self.results, self._key(cell)) for cell in self.cells()]
        return [cell for cell in known if cell is not None]

    def _key(self, cell: Cell) -> Cell:
        return {**cell, "data": self.shop.stamp, **self.size.settings(cell)}

    def _made(self, cell: Cell) -> Cell:
        kind = cell["kind"]
        if kind == "tower":
            return self._train_tower(cell["tower"])
        trial = self._trial(cell.get("tower", BEST), cell["seed"])
        printed = cell.get("variant", kind).endswith(PRINTED)
        if kind.startswith("make"):
            return trial.make_epochs(self._make_folder(cell["seed"], printed), printed)
        if kind == "ids":
            return trial.id_epochs(cell["reset"])
        epochs = cell.get("make_epochs", JOINT)
        make = self._make(cell["seed"], epochs, printed) if epochs != JOINT else None
        return trial.ranker(_interests(cell["variant"]), make)

    def _make(self, seed: int, epochs: int, printed: bool) -> Path:
        """The snapshot, trained again where its file is gone."""
        path = self._make_folder(seed, printed) / f"{epochs}.keras"
        if not path.is_file():
            self._trial(BEST, seed).make_epochs(path.parent, printed)
        return path

    def _trial(self, tower: str, seed: int) -> Trial:
        return Trial(self.shop, self._catalog(tower), self.size, seed)

    def _train_tower(self, name: str) -> Cell:
        return trained_tower(self.shop, name, self.size.steps, self._vectors_of(name))

    def _catalog(self, tower: str) -> Any:
        """Of the tower's vectors, trained again where their file is gone."""
        path = self._vectors_of(tower)
        if tower == TRUTH:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, true_vectors(self.shop))
        elif not path.is_file():
            self._train_tower(tower)
        return _catalog(self.shop, tower, path)

    def _vectors_of(self, tower: str) -> Path:
        return self.shop.folder / "towers" / f"{tower}-{self.size.steps}.npy"

    def _make_folder(self, seed: int, printed: bool) -> Path:
        name = f"{self.size.make_stamp}-{seed}{PRINTED if printed else ''}"
        return self.shop.folder / "make" / name


def _interests(variant: str) -> list[Any]:
    return VARIANTS[variant.removesuffix(PRINTED)]


@cache
def _catalog(shop: Shop, tower: str, path: Path) -> Any:
    return shop.catalog(np.load(path), tower)


def size_of(data: str, size: str) -> Size:
    """The settings, chosen on validation days where the data have them."""
    if size == "smoke":
        return Size(epochs=2, steps=30, batch=32, make_batch=32, seeds=(0,))
    if data == "marketplace":
        return Size()
    # The rates of the recipe for MovieLens: a seventh of the impressions, mostly alone.
    rates = {"rate": 2e-3, "make_rate": 1e-3, "curve_rate": 1e-3}
    return Size(batch=256, make_batch=64, steps=1_000, **rates)


def shop_of(data: str, size: str) -> Shop:
    """The marketplace or MovieLens at a size, below `OUT`."""
    changes: dict[str, Any] = dict(_SMOKE[data]) if size == "smoke" else {}
    if data == "movielens":
        changes = {"users": None, **changes}
    shop = Shop(data, OUT, **changes)
    return replace(shop, folder=OUT / f"paper-{data}-{shop.stamp}")


def describe(cell: Cell) -> str:
    """A finished cell in one line."""
    names = {"kind", "tower", "variant", "make_epochs", "reset", "seed"}
    name = " ".join(str(v) for k, v in cell.items() if k in names)
    if cell["kind"] == "tower":
        figures = f"Acc@1 {cell['acc1']:.4f} Acc@5 {cell['acc5']:.4f}"
    elif cell["kind"] == "ranker":
        figures = f"test GAUC {cell['test']['gauc']:.4f} AUC {cell['test']['auc']:.4f}"
    else:
        figures = "test GAUC " + " ".join(f"{x:.4f}" for x in cell["test_gauc"])
    return f"{name}: {figures}, {cell['seconds']} s"


def _all_cells(work: Work) -> list[Cell]:
    todo, done = list(work.cells()), []
    began = time.perf_counter()
    for number, key in enumerate(todo, 1):
        cell, new = work.run(key)
        done.append(cell)
        if new:
            minutes = (time.perf_counter() - began) / 60
            line = f"  {number}/{len(todo)} {describe(cell)}, {minutes:.0f} min so far"
            print(line, flush=True)
    return done


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    parser.add_argument("--data", choices=tuple(TOWERS), default="marketplace")
    parser.add_argument(
        "--report", action="store_true", help="only of the cells that are done"
    )
    options = parser.parse_args(arguments)
    size = size_of(options.data, options.size)
    shop = shop_of(options.data, options.size)
    name = f"paper_tables-{options.data}-{options.size}"
    work = Work(shop, size, OUT / f"{name}.jsonl")
    shop.prepare()
    done = work.done() if options.report else _all_cells(work)
    folder = write_report(OUT / name, done, shop, size)
    print((folder / "report.md").read_text())
    minutes = sum(cell["seconds"] for cell in done) / 60
    print(f"{len(done)} cells, {minutes:.0f} minutes in all; {folder / 'report.html'}")


if __name__ == "__main__":
    main()
