"""How pairs, batch, bank, temperature and the rest change what SCL learns, in turn.

    python -m benchmarks.scl_curves [--size smoke|standard]

Full SCL on the simulated marketplace of `benchmarks.scl_ablation`, 1,000 steps, every
other setting as there, one seed: see the ablation for how far seeds spread. Seconds are
those of a training beside what else the machine did. Resumable like the ablation.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks.scl_cells import Cell, cell_of
from benchmarks.scl_data import PairSet, marketplace
from benchmarks.scl_trial import Size, Trial

SIZES = {
    "standard": Size(steps=1_000),
    "smoke": Size(items=400, searches=800, steps=20, bank=256),
}
SEED = 0
CURVES: dict[str, tuple[Any, ...]] = {
    "pairs": (300, 1_000, 3_000, 10_000, 30_000),
    "bank": (0, 1_024, 4_096, 16_384, 65_536),
    "batch": (16, 32, 64, 128),
    "temperature": (0.02, 0.07, 0.2),
    "triplet": (0.0, 1.0, 10.0, 30.0),
    "momentum": (0.9, 0.99, 0.999),
    "dimension": (16, 64, 128),
}


def points(size: Size) -> list[tuple[str, Any, Size]]:
    """(setting, value, the size with it), all else as it is."""
    return [
        (name, value, replace(size, **{name: value}))
        for name, values in CURVES.items()
        for value in values
    ]


def trained(data: PairSet, size: Size, results: Path) -> Cell:
    """The cell of this training, from the file or made now."""
    key = {"seed": SEED, "digest": data.digest, **size.settings()}
    return cell_of(results, key, lambda: Trial(data, size, SEED).run("triplet"))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    options = parser.parse_args()
    size = SIZES[options.size]
    out = Path("out/benchmarks")
    results = out / f"scl_curves-{options.size}.jsonl"
    data = marketplace(size.items, size.searches, 1, out)
    before = None
    for name, value, changed in points(size):
        if name != before:
            print(f"\n{name:16}{'Acc@1':>10}{'Acc@5':>10}{'seconds':>10}")
        before = name
        cell = trained(data, changed, results)
        print(
            f"{value!s:16}{cell['acc1']:>10.4f}{cell['acc5']:>10.4f}"
            f"{cell['seconds']:>10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
