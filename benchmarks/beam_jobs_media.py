"""Pictures per second of a core and peak memory of `item_media`, against Pillow alone.

`python -m benchmarks.beam_jobs_media [--size smoke|standard]` makes photographs of 1200
x 1600 pixels (JPEGs of about 300 KB), has the job turn them into item records of 224
pixels, from files and from a Parquet column, and measures each run in a process of its
own. The bare loop decodes with `draft`, shrinks and encodes the same files and does
nothing else: no checks, no orientation, no hashes, no records.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.bounds import Bounds
from benchmarks.peak_memory import peak_of

PHOTO = (1200, 1600)
SIZE, QUALITY = 224, 90
DIFFERENT = 16
# Pictures of a run, and runs of each way.
COUNTS = {"smoke": (64, 128), "standard": (500, 2000)}
RUNS = {"smoke": 1, "standard": 3}
LEAST_SHARE, MOST_GROWTH = 0.8, 1.1
WAYS = ("bare loop", "job, files", "job, column")

SCHEMA = """
name: photos
media: {{image_size: {size}}}
items: {{files: {name}.parquet, id: id, image: image}}
impressions: {{files: log.csv, user: user, item: item, time: time, labels: [click]}}
split: {{rule: per_user_last_fraction}}
"""


def photographs(count: int) -> list[bytes]:
    """JPEGs with large and small shapes and a little grain."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(count):
        rough, fine = (
            Image.fromarray(draw.integers(0, 256, (*side, 3), np.uint8)).resize(
                PHOTO, Image.Resampling.BICUBIC
            )
            for side in ((8, 6), (200, 150))
        )
        pixels = np.asarray(Image.blend(rough, fine, 0.18), np.int16)
        grain = draw.integers(-6, 7, (*pixels.shape[:2], 1), np.int16)
        out = io.BytesIO()
        noisy = (pixels + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(out, "JPEG", quality=85)
        found.append(out.getvalue())
    return found


def write_shop(folder: Path, photos: list[bytes], count: int) -> None:
    """Two schemas of the same items: pictures as files, and in the table."""
    import tfmm

    folder.mkdir()
    ids = [f"{number:06d}" for number in range(count)]
    # Every file is another one, though a few photographs take turns in them.
    data = [photos[n % len(photos)] + b"%d" % n for n in range(count)]
    for name, content in zip(ids, data, strict=True):
        (folder / f"{name}.jpg").write_bytes(content)
    paths = [f"{name}.jpg" for name in ids]
    for name, pictures in (("files", paths), ("column", pa.array(data, pa.binary()))):
        table = pa.table({"id": ids, "image": pictures})
        pq.write_table(table, folder / f"{name}.parquet", write_batch_size=16)
        (folder / f"{name}.yaml").write_text(SCHEMA.format(name=name, size=SIZE))
    tfmm.ItemIndex.create(ids).save(folder / "index")


def bare_loop(folder: Path) -> None:
    """What no program that shrinks these files can do without."""
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            picture.draft("RGB", (SIZE, SIZE))
            picture.thumbnail((SIZE, SIZE), reducing_gap=2.0)
            picture.save(io.BytesIO(), "JPEG", quality=QUALITY)


def run_job(folder: Path, name: str) -> None:
    from beam_jobs import item_media

    with tempfile.TemporaryDirectory(dir=folder) as output:
        item_media.run(
            str(folder / f"{name}.yaml"), str(folder / "index"), f"{output}/items"
        )


def work_of(way: str, folder: Path) -> Callable[[], None]:
    if way == "bare loop":
        return lambda: bare_loop(folder)
    return lambda: run_job(folder, way.removeprefix("job, "))


def measure_here(way: str, folder: Path, warm: Path) -> dict[str, float]:
    """CPU seconds and MiB of one way, after it was warmed up on a small shop.

    It has one core: two threads on one core's two halves would slow each other.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    work_of(way, warm)()
    began = time.process_time()
    peak = peak_of(work_of(way, folder))
    return {"cpu": time.process_time() - began, "peak": peak.highest}


def measured(way: str, folder: Path, warm: Path) -> dict[str, float]:
    """`measure_here` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.beam_jobs_media"]
    done = subprocess.run(
        [*command, "--way", way, "--folder", str(folder), "--warm", str(warm)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(RUNS), default="standard")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--warm", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        print(json.dumps(measure_here(chosen.way, chosen.folder, chosen.warm)))
        return 0
    with tempfile.TemporaryDirectory() as base:
        return _report(Path(base), chosen.size)


def _report(base: Path, size: str) -> int:
    bounds = Bounds(judged=size != "smoke")
    photos = photographs(DIFFERENT)
    write_shop(base / "warm", photos, 8)
    print(f"photographs of {PHOTO[0]} x {PHOTO[1]}, {len(photos[0]) / 1000:.0f} KB")
    print(f"{'':12}{'pictures':>10}{'per CPU s':>11}{'of bare':>9}{'peak MiB':>10}")
    rates, peaks = {}, {}
    for count in COUNTS[size]:
        folder = base / str(count)
        write_shop(folder, photos, count)
        runs = [
            {way: measured(way, folder, base / "warm") for way in WAYS}
            for _ in range(RUNS[size])
        ]
        for way in WAYS:
            rate = statistics.median(count / run[way]["cpu"] for run in runs)
            rates[way, count] = rate
            peak = statistics.median(run[way]["peak"] for run in runs)
            peaks[way, count] = peak
            share = rate / rates[WAYS[0], count]
            print(f"{way:12}{count:>10}{rate:>11.1f}{share:>8.2f}x{peak:>10.0f}")
    few, many = COUNTS[size]
    for way in WAYS[1:]:
        share = rates[way, many] / rates[WAYS[0], many]
        growth = peaks[way, many] / peaks[way, few]
        for what, judged in (
            (f"{share:.2f}x of the bare loop", bounds.check_least(share, LEAST_SHARE)),
            (
                f"peak {growth:.2f}x with {many / few:.0f}x the pictures",
                bounds.check(growth, MOST_GROWTH),
            ),
        ):
            print(f"{way}: {what}, {judged}")
    return bounds.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
