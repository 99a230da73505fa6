"""The paper's Table 2 in our setting: what each part of SCL adds to retrieval.

    python -m benchmarks.scl_ablation [--size smoke|standard] [--data marketplace ...]

Every method trains the same tower for the same number of steps of 64 pairs. Acc@N (eq.
6) is over the distinct items that any test query asks for; ties count as their mean
rank. Each cell (data, method, seed) is a line of the results file, and a second run
goes on where the first one ended. `TFMM_DATA` names the folder of the public sets.
"""

import argparse
import os
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from benchmarks.scl_cells import Cell, cell_of, with_spread
from benchmarks.scl_data import PairSet, marketplace, public
from benchmarks.scl_trial import Size, Trial

METHODS = ("random", "classifier", "clip", "simclr", "in_batch", "moco", "triplet")
NAMES = {
    "random": "random tower",
    "classifier": "supervised classifier",
    "clip": "CLIP loss, title and picture",
    "simclr": "SimCLR, augmentation only",
    "in_batch": "SCL, in-batch negatives",
    "moco": "SCL + MoCo",
    "triplet": "SCL + MoCo + triplet",
}
# Acc@1 and Acc@5 of the paper's Table 2; CLIP-E stands for the CLIP loss.
PAPER = {
    "clip": (0.2952, 0.3917),
    "in_batch": (0.5760, 0.7590),
    "moco": (0.6957, 0.8604),
    "triplet": (0.7474, 0.8850),
}
AGNOSTIC = ("random", "classifier", "clip", "simclr")


SIZES = {
    "standard": Size(),
    "smoke": Size(items=400, searches=800, steps=20, bank=256, seeds=(0,)),
}


def methods_of(data: str) -> tuple[str, ...]:
    """Words are no pictures: a tower of pictures alone cannot answer them."""
    left_out = ("classifier", "simclr") if data == "fashion" else ()
    return tuple(method for method in METHODS if method not in left_out)


def cells(size: Size, names: list[str], all_seeds: bool) -> list[tuple[str, str, int]]:
    """Seed by seed, so that a run that is cut short has whole tables."""
    return [
        (name, method, seed)
        for number, seed in enumerate(size.seeds)
        for name in names
        if all_seeds or name == "marketplace" or not number
        for method in methods_of(name)
    ]


def show(done: list[Cell], names: list[str]) -> None:
    """A table per data set: means over the seeds, and their standard deviation."""
    for name in names:
        print(f"\n{name:34}{'Acc@1':>16}{'Acc@5':>16}   paper")
        for method in methods_of(name):
            some = [d for d in done if (d["data"], d["method"]) == (name, method)]
            if not some:
                continue
            figures = "".join(
                f"{with_spread([d[key] for d in some]):>16}" for key in ("acc1", "acc5")
            )
            paper = " ".join(f"{x:.4f}" for x in PAPER.get(method, ()))
            seeds = f"({len(some)} seed{'s' * (len(some) > 1)})"
            print(f"  {NAMES[method]:32}{figures}   {paper:13}  {seeds}")
        show_order([d for d in done if d["data"] == name], methods_of(name))


def show_order(done: list[Cell], methods: tuple[str, ...]) -> None:
    """Whether the paper's order came out, of the means and of every seed."""
    by_seed: dict[int, dict[str, float]] = {}
    for cell in done:
        by_seed.setdefault(cell["seed"], {})[cell["method"]] = cell["acc1"]
    whole = [found for found in by_seed.values() if len(found) == len(methods)]
    if not whole:
        return
    means = {method: np.mean([found[method] for found in whole]) for method in methods}
    print(
        "  Acc@1, agnostic < in-batch < +MoCo < +triplet: "
        f"{'yes' if _ordered(means) else 'NO'}, means "
        f"({' '.join(f'{x:.4f}' for x in _ladder(means))}); in "
        f"{sum(map(_ordered, whole))} of {len(whole)} seeds"
    )


def _ladder(found: dict[str, float]) -> list[float]:
    best = max(found[method] for method in AGNOSTIC if method in found)
    return [best, found["in_batch"], found["moco"], found["triplet"]]


def _ordered(found: dict[str, float]) -> bool:
    return all(a < b for a, b in pairwise(_ladder(found)))


def _trained(data: PairSet, size: Size, seed: int, method: str) -> Cell:
    return Trial(data, size, seed).run(method)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    parser.add_argument(
        "--data",
        nargs="+",
        default=["marketplace", "grocery", "fashion"],
        choices=["marketplace", "grocery", "fashion"],
    )
    parser.add_argument(
        "--all-seeds", action="store_true", help="of the public sets too"
    )
    parser.add_argument("--results", type=Path, help="resumed if it exists")
    options = parser.parse_args()
    size = SIZES[options.size]
    out = Path("out/benchmarks")
    results = options.results or out / f"scl_ablation-{options.size}.jsonl"

    @cache
    def data_of(name: str) -> tuple[PairSet, str]:
        if name == "marketplace":
            found = marketplace(size.items, size.searches, 1, out)
        else:
            found = public(name)
        print(
            f"{name}: {len(found.pictures):,} items, {len(found.train):,} training and "
            f"{len(found.test):,} test pairs, {len(np.unique(found.test[:, 0])):,} "
            f"queries for {len(np.unique(found.test[:, 1])):,} items",
            flush=True,
        )
        return found, found.digest

    todo, done = cells(size, options.data, options.all_seeds), []
    for number, (name, method, seed) in enumerate(todo, 1):
        data, stamp = data_of(name)
        key = {"data": name, "method": method, "seed": seed, "digest": stamp}
        key |= size.settings()
        trial = partial(_trained, data, size, seed, method)
        cell, new = cell_of(results, key, trial)
        done.append(cell)
        if new:
            print(
                f"  {number}/{len(todo)} {name} {method} seed {seed}: Acc@1 "
                f"{cell['acc1']:.4f} Acc@5 {cell['acc5']:.4f}, {cell['seconds']} s",
                flush=True,
            )
    show(done, options.data)
    minutes = sum(cell["seconds"] for cell in done) / 60
    print(f"\n{len(done)} cells, {minutes:.0f} minutes in all")


if __name__ == "__main__":
    main()
