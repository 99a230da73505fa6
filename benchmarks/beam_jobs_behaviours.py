"""Impressions to timelines: our job, the same by hand in polars, the same row by row.

All three write the same records; the second also the same files, byte for byte. Every
run is a process of its own that has done its work on a tiny log before, so that neither
imports nor what a library sets up at its first use count.
"""

import argparse
import hashlib
import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from beam_jobs.plan import shards_for
from benchmarks.beam_jobs_data import prepare
from benchmarks.process_cost import Cost, cost_apart, measured, print_cost
from tfmm.records.tfrecord import read_records

OURS, POLARS, ROWS = "tfmm", "polars + numpy", "Beam, row by row"
MODULES = {
    OURS: "beam_jobs.behaviours",
    POLARS: "benchmarks.peers.polars_timelines",
    ROWS: "benchmarks.peers.beam_rows_timelines",
}
PARTS = ("train", "validation", "test")
WARM_ROWS = 1000
# Row by row, ten million impressions take as many minutes.
MOST_BY_ROW = 1_000_000
TARGETS = {POLARS: "at most 1.2x", ROWS: "at most 0.125x"}


def build(way: str, folder: Path, out: Path) -> None:
    """Writes the timelines of a prepared log."""
    module = importlib.import_module(MODULES[way])
    if way == OURS:
        names = ("schema.yaml", "index", "vocabularies")
        module.run(
            *(str(folder / name) for name in names), str(out), str(folder / "key")
        )
    else:
        module.build(folder, out, shards_of(folder))


def shards_of(folder: Path) -> int:
    """As many files as our job makes of the log."""
    return shards_for(pq.read_metadata(folder / "impressions.parquet").num_rows)


def files(out: Path) -> dict[str, str]:
    """Digest of every file of records."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*.tfrecord"))
    }


def records(out: Path) -> list[tuple[str, bytes]]:
    """All records by part, serialized anew in one order of features."""
    import tensorflow as tf

    return sorted(
        (
            part,
            tf.train.Example.FromString(record).SerializeToString(deterministic=True),
        )
        for part in PARTS
        for path in (out / part).glob("*.tfrecord*")
        for record in read_records(path)
    )


def check(way: str, ours: Path, theirs: Path) -> None:
    """Compares what two ways wrote.

    Raises:
        RuntimeError: If the records differ.
    """
    same = files if way == POLARS else records
    if same(ours) != same(theirs):
        raise RuntimeError(f"`{way}` wrote other records than our job.")


def compare(base: Path, rows: int, runs: int) -> dict[str, Cost]:
    """Median cost of every way; prints a line each."""
    folder = base / f"log-{rows}"
    prepare(folder, rows)
    ways = [OURS, POLARS] + [ROWS] * (rows <= MOST_BY_ROW)
    costs: dict[str, list[Cost]] = {way: [] for way in ways}
    for run in range(runs):
        for way in ways if run == 0 else ways[:2]:
            out = base / MODULES[way]
            shutil.rmtree(out, ignore_errors=True)
            places = (str(folder), str(base / "warm"), str(out))
            costs[way].append(cost_apart(__spec__.name, way, *places))
            if way != OURS and run == 0:
                check(way, base / MODULES[OURS], out)
    found = {way: Cost(*map(median, zip(*costs[way], strict=True))) for way in ways}
    for way, cost in found.items():
        share = found[OURS].cpu / cost.cpu
        target = f"  {share:.2f}x, target {TARGETS[way]}" if way != OURS else ""
        print(
            f"{rows:>12,}  {way:<17}{cost.cpu:>8.1f}{cost.wall:>8.1f}"
            f"{cost.peak:>10,.0f}{cost.added * 1024 / rows:>8.2f}{target}",
            flush=True,
        )
    return found


def section(base: Path, rows: Sequence[int], runs: int) -> None:
    """Prints the table."""
    prepare(base / "warm", WARM_ROWS)
    print(f"\nbehaviours: impressions to timelines, medians of {runs} runs in turn")
    head = f"{'impressions':>12}  {'way':<17}{'CPU s':>8}{'wall s':>8}"
    print(f"{head}{'peak MiB':>10}{'KB/row':>8}  our CPU, of theirs")
    costs = [compare(base, count, runs)[OURS].cpu for count in rows]
    if len(costs) > 1:
        times = rows[-1] / rows[0]
        print(
            f"{times:.0f} times the rows cost {costs[-1] / costs[0]:.1f} times the CPU"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=MODULES)
    for name in ("folder", "warm", "out"):
        parser.add_argument(name, type=Path)
    chosen = parser.parse_args()
    aside = chosen.out.with_name("out-warm")
    build(chosen.way, chosen.warm, aside)
    shutil.rmtree(aside)
    print_cost(measured(lambda: build(chosen.way, chosen.folder, chosen.out)))


if __name__ == "__main__":
    main()
