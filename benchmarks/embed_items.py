"""Images per second of `embed_items` against the bare tower's `predict`.

`python -m benchmarks.embed_items [--size smoke|standard]` prints one line per tower:
predict on pictures already decoded, decode and predict, and the whole job (records,
decoding, tower, quantisation, catalog). Runs are interleaved; medians are shown.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import tfmm
from beam_jobs import embed_items
from tfmm.records.example import encode
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.tfrecord import write_records

IMAGE_SIZE = 64
BATCH = 256
ITEMS = {
    "smoke": {"micro": 512, "tiny": 256},
    "standard": {"micro": 32_768, "tiny": 8192},
}
RUNS = {"smoke": 1, "standard": 5}


def jpegs(count: int) -> list[bytes]:
    """Pictures with edges and a gradient, as photographs have, JPEG at quality 90."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(count):
        small = draw.integers(0, 255, (8, 8, 3), np.uint8)
        sides = (IMAGE_SIZE, IMAGE_SIZE)
        picture = Image.fromarray(small).resize(sides, Image.Resampling.BICUBIC)
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=90)
        found.append(out.getvalue())
    return found


def write_items(folder: Path, pictures: list[bytes], shards: int = 8) -> None:
    """An item index and item records of these pictures."""
    index = tfmm.ItemIndex.create([f"{number:08d}" for number in range(len(pictures))])
    index.save(folder / "index")
    with writing(folder / "items") as tmp:
        for shard in range(shards):
            records = [
                encode(
                    {
                        "row": np.array([number + 2]),
                        "item_id": [index.ids[number].encode()],
                        "title": [b""],
                        "image": [pictures[number]],
                        "image_hash": [b""],
                    }
                )
                for number in range(shard, len(pictures), shards)
            ]
            name = f"items-{shard:05d}-of-{shards:05d}.tfrecord"
            write_records(tmp / name, records)
        counts = {"read": len(pictures), "written": len(pictures), "dropped": {}}
        write_manifest(tmp, kind="items", counts=counts, index=index.stamp())


def measure(size: str, items: int, runs: int) -> dict[str, float]:
    """Median seconds per way of embedding, by name."""
    keras.utils.set_random_seed(0)
    encoder = tfmm.encoders.image(size, dimension=64, image_size=IMAGE_SIZE)
    pictures = jpegs(items)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_items(folder, pictures)
        tfmm.encoders.save_item_encoder(folder / "encoder", image=encoder)
        data = tf.data.Dataset.from_tensor_slices(pictures).batch(BATCH)
        data = data.map(encoder.preprocess, tf.data.AUTOTUNE).prefetch(2)
        pixels = np.concatenate(list(data.as_numpy_iterator()))
        ways = {
            "predict": lambda: encoder.tower.predict(pixels, BATCH, verbose=0),
            "decode+predict": lambda: encoder.tower.predict(data, verbose=0),
            "embed_items": lambda: embed_items.run(
                str(folder / "items"),
                str(folder / "encoder"),
                str(folder / "index"),
                str(folder / "catalog"),
                BATCH,
            ),
        }
        for way in ways.values():  # Traces graphs and warms the threads.
            way()
        seconds = [{n: _seconds(way) for n, way in ways.items()} for _ in range(runs)]
    return {n: statistics.median(run[n] for run in seconds) for n in ways}


def _seconds(way: Callable[[], object]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(RUNS), default="standard")
    size = parser.parse_args().size
    head = ("tower", "items", "predict", "decode+predict", "embed_items", "of predict")
    print("images per second, medians of", RUNS[size], "runs")
    print("".join(f"{word:>16}" for word in head))
    for tower, items in ITEMS[size].items():
        found = measure(tower, items, RUNS[size])
        rates = {name: items / seconds for name, seconds in found.items()}
        share = rates["embed_items"] / rates["predict"]
        figures = "".join(f"{rate:>16.0f}" for rate in rates.values())
        print(f"{tower:>16}{items:>16}{figures}{share:>15.2f}x", flush=True)


if __name__ == "__main__":
    main()
