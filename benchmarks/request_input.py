"""Reading requests, against one tf.train.Example an impression, as most code does.

    python -m benchmarks.request_input [--size smoke|standard]

Three layouts: the marketplace's (25 requests a user, 50 behaviours), Taobao-MM's (one
request a user, 1,000 behaviours), and many requests of long histories. The peer's
records are parsed in batches of as many impressions and shuffled in a buffer; on both
sides the batches are what a model takes. Requests per second of CPU time are medians of
runs in turn; memory is what an epoch adds to a process of its own. No model is trained.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import tensorflow as tf

import tfmm
from benchmarks.peak_memory import peak_of
from benchmarks.request_input_data import (
    Layout,
    vocabularies,
    write_impressions,
    write_timelines,
)

# Name, ours, and how many users the peer reads: it takes too long for all.
STANDARD = {
    "L=50, 25 requests a user": (Layout(2000, 25, 50, 10, 256), 80),
    "L=1000, 1 request a user": (Layout(4000, 1, 1000, 11, 1000), 200),
    "L=1000, 200 requests a user": (Layout(150, 200, 1000, 11, 256), 1),
}
SMOKE = {"L=20, 3 requests a user": (Layout(40, 3, 20, 4, 16), 20)}
SIZES = {"standard": (STANDARD, 3), "smoke": (SMOKE, 1)}
PEER_SHUFFLE = 10_000
SIDES = ("ours", "peer")


def peer_batches(folder: Path, layout: Layout) -> tf.data.Dataset:
    """Impressions with their histories, shuffled, in batches of B * N."""
    files = tf.data.Dataset.list_files(str(folder / "*.tfrecord"), seed=0)
    records = files.interleave(
        tf.data.TFRecordDataset, cycle_length=4, num_parallel_calls=tf.data.AUTOTUNE
    )
    batches = records.shuffle(PEER_SHUFFLE, seed=0).batch(layout.batch * layout.items)
    return batches.map(_parsed, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _parsed(records: tf.Tensor) -> dict[str, tf.Tensor]:
    features = {
        name: tf.io.RaggedFeature(tf.int64) for name in ("history_item", "history_type")
    }
    features |= {
        name: tf.io.FixedLenFeature([], tf.int64) for name in ("user", "time", "item")
    }
    features["label_click"] = tf.io.FixedLenFeature([], tf.float32)
    found = tf.io.parse_example(records, features)
    found["n_history"] = tf.cast(found["history_item"].row_lengths(), tf.int32)
    for name in ("history_item", "history_type"):
        found[name] = tf.cast(found[name].to_tensor(), tf.int32)
    return found


def our_batches(folder: Path, layout: Layout) -> tf.data.Dataset:
    return tfmm.data.requests(folder, vocabularies(layout), layout.batch, shuffle=True)


def epoch(dataset: tf.data.Dataset) -> Callable[[], None]:
    def read() -> None:
        for _ in dataset:
            pass

    return read


def cpu_seconds(read: Callable[[], None]) -> float:
    begin = time.process_time()
    read()
    return time.process_time() - begin


def layout_of(size: str, name: str, side: str) -> Layout:
    ours, users = SIZES[size][0][name]
    if side == "ours":
        return ours
    return Layout(users, ours.requests, ours.history, ours.items, ours.batch)


def batches_of(folder: Path, size: str, name: str, side: str) -> tf.data.Dataset:
    make = our_batches if side == "ours" else peer_batches
    return make(folder, layout_of(size, name, side))


def memory(folder: Path, size: str, name: str, side: str) -> float:
    """MiB that an epoch adds, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.request_input", "--size", size]
    command += ["--folder", str(folder), "--name", name, "--side", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def compare(base: Path, size: str, name: str, runs: int) -> None:
    written, read, count = {}, {}, {}
    for side in SIDES:
        layout, folder = layout_of(size, name, side), base / f"{name}-{side}"
        write = write_timelines if side == "ours" else write_impressions
        count[side] = layout.count
        written[side] = write(folder, layout) / layout.count
        read[side] = epoch(batches_of(folder, size, name, side))
        read[side]()
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(runs):
        for side in SIDES:
            times[side].append(cpu_seconds(read[side]))
    rate = {side: count[side] / median(times[side]) for side in SIDES}
    peak = {side: memory(base / f"{name}-{side}", size, name, side) for side in SIDES}
    print(f"\n{name}, {layout_of(size, name, 'ours').items} items a request")
    print(f"{'':18}{'tfmm':>10}{'peer':>10}{'ratio':>8}")
    for label, ours, peer, ratio in (
        ("requests/CPU-s", rate["ours"], rate["peer"], rate["ours"] / rate["peer"]),
        (
            "bytes/request",
            written["ours"],
            written["peer"],
            written["peer"] / written["ours"],
        ),
        ("MiB added", peak["ours"], peak["peer"], peak["peer"] / peak["ours"]),
    ):
        print(f"{label:18}{ours:>10,.0f}{peer:>10,.0f}{ratio:>7.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    for name in ("--folder", "--name", "--side"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        dataset = batches_of(Path(chosen.folder), chosen.size, chosen.name, chosen.side)
        print(peak_of(epoch(dataset)).added)
        return
    layouts, runs = SIZES[chosen.size]
    with tempfile.TemporaryDirectory() as base:
        for name in layouts:
            compare(Path(base), chosen.size, name, runs)


if __name__ == "__main__":
    main()
