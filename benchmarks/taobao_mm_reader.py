"""Reading Taobao-MM: rows per second and peak memory at two sizes, and a plain loop.

    python -m benchmarks.taobao_mm_reader [--size smoke|standard]

Made-up files in the public layout, with histories of 1,000, all of the same vocabulary.
`raw tables` and `joined shards` are the whole conversion: two passes over the files,
index, vocabularies, catalog and timelines. `plain loop` reads the joined shards as the
published loader does, one whole shard at a time and its rows one by one in Python
(pandas and `iterrows` where pandas is installed, else pyarrow's `to_pylist`), into
padded lists and no further; it must do so in every epoch. Every figure is of a process
of its own; runs take turns, medians are shown. Memory is what the work adds.
"""

import argparse
import importlib.util
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.peak_memory import peak_of
from benchmarks.taobao_mm_data import Size, write
from tfmm.datasets.taobao_mm import TaobaoMM

ITEMS, HISTORY, BATCH = 20_000, 1000, 1000
# Users of training at the smaller size; the larger has four times as many.
USERS = {"smoke": 60, "standard": 800}
RUNS = {"smoke": 1, "standard": 3}
HAS_PANDAS = importlib.util.find_spec("pandas") is not None
LISTS = {"150_2_180": HISTORY, "151_2_180": HISTORY}


def convert(source: Path) -> None:
    """The whole conversion, thrown away."""
    out = source.with_name(source.name + "-out")
    TaobaoMM(source).convert(out)
    shutil.rmtree(out)


def plain_loop(source: Path) -> int:
    """Batches of padded lists from rows read one by one; returns how many rows."""
    rows = 0
    for path in sorted(source.glob("*/*-shard-*.parquet")):
        batch: dict[str, list[Any]] = {}
        for row in _plain_rows(path):
            for name, value in row.items():
                length = LISTS.get(name)
                if length:
                    value = list(value)[-length:]
                    value = [0] * (length - len(value)) + value
                batch.setdefault(name, []).append(value)
            rows += 1
            if rows % BATCH == 0:
                batch = _as_arrays(batch)
    return rows


def _plain_rows(path: Path) -> Iterator[Any]:
    if not HAS_PANDAS:
        yield from pq.read_table(path).to_pylist()
        return
    import pandas

    for _, row in pandas.read_parquet(path).iterrows():
        yield row


def _as_arrays(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    for values in batch.values():
        np.array(values)
    return {}


def measured(work: Callable[[Path], object], source: Path) -> tuple[float, float]:
    """Seconds and MiB added, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (work, source))


def _measure(work: Callable[[Path], object], source: Path) -> tuple[float, float]:
    begin = time.perf_counter()
    peak = peak_of(lambda: work(source))
    return time.perf_counter() - begin, peak.added


def rows_of(source: Path) -> int:
    """Shown items in all."""
    paths = source.glob("*/*-shard-*.parquet")
    return sum(pq.read_metadata(path).num_rows for path in paths)


def sources(folder: Path, users: int) -> dict[str, tuple[Callable, Path]]:
    """What is measured on how many users: the work and its folder by name."""
    whole = write(folder / f"raw-{users}", Size(users, ITEMS, HISTORY))
    shards = folder / f"joined-{users}"
    (shards / "raw").mkdir(parents=True)
    vectors = "raw/scl_embedding_int8_p90.parquet"
    for name in ("train", "test", vectors):
        (shards / name).symlink_to(whole / name)
    return {
        "raw tables": (convert, whole),
        "joined shards": (convert, shards),
        "plain loop": (plain_loop, shards),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(RUNS), default="standard")
    size = parser.parse_args().size
    way = "pandas and iterrows" if HAS_PANDAS else "pyarrow to_pylist"
    print(f"plain loop: {way}; medians of {RUNS[size]} runs")
    head = ("users", "rows", "way", "rows/s", "of plain", "MiB added")
    print("".join(f"{word:>15}" for word in head))
    with tempfile.TemporaryDirectory() as name:
        for users in (USERS[size], 4 * USERS[size]):
            ways = sources(Path(name), users)
            rows = rows_of(ways["joined shards"][1])
            runs = [
                {name: measured(*way) for name, way in ways.items()}
                for _ in range(RUNS[size])
            ]
            seconds = {w: median(run[w][0] for run in runs) for w in ways}
            for way in ways:
                ratio = seconds["plain loop"] / seconds[way]
                memory = median(run[way][1] for run in runs)
                print(
                    f"{users:>15,}{rows:>15,}{way:>15}{rows / seconds[way]:>15,.0f}"
                    f"{ratio:>14.2f}x{memory:>15,.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
