"""Items per CPU second of `embed_items` against its bare encoder, and of what is new.

The bare encoder is the job's own SavedModel, called on pictures that lie in memory in
batches of 256; it neither reads records nor writes a catalog. All ways open the
SavedModel within their time, as any program must. Every run is a process of its own
that has done its work on a few items before.
"""

import argparse
import shutil
from pathlib import Path
from statistics import median

from benchmarks.process_cost import Cost, cost_apart, measured, print_cost

ITEMS = {"micro": 16_384, "tiny": 4096}
BARE, FULL, NEW = "bare encoder", "embed_items", "1 % changed"
LEAST_SHARE = 0.8
BATCH, WARM_ITEMS, CHANGED = 256, 256, 100


def prepare(folder: Path, tower: str, count: int) -> None:
    """An encoder and items, their catalog, and the items with every 100th changed."""
    import keras

    import tfmm
    from benchmarks.embed_items import IMAGE_SIZE, jpegs, write_items

    keras.utils.set_random_seed(0)
    encoder = tfmm.encoders.image(tower, dimension=64, image_size=IMAGE_SIZE)
    tfmm.encoders.save_item_encoder(folder / "encoder", image=encoder)
    pictures = jpegs(count + 1)
    write_items(folder, pictures[:-1])
    changed = [pictures[-1] if n % CHANGED == 0 else pictures[n] for n in range(count)]
    shutil.copytree(folder / "encoder", folder / "new" / "encoder")
    write_items(folder / "new", changed)
    embed(folder, folder / "catalog")


def embed(folder: Path, output: Path, previous: Path | None = None) -> None:
    """Runs the job."""
    from beam_jobs import embed_items

    inputs = (str(folder / name) for name in ("items", "encoder", "index"))
    embed_items.run(*inputs, str(output), BATCH, str(previous) if previous else None)


def batches(folder: Path) -> list[list[bytes]]:
    """All pictures, as many to a batch as to the job's calls."""
    from beam_jobs.kernels.encoder_inputs import inputs_of
    from tfmm.records.tfrecord import read_records

    paths = sorted((folder / "items").glob("*.tfrecord"))
    records = [record for path in paths for record in read_records(path)]
    pictures = inputs_of(records, ["image_bytes"]).media["image_bytes"]
    return [pictures[at : at + BATCH] for at in range(0, len(pictures), BATCH)]


def encode(folder: Path, pictures: list[list[bytes]]) -> None:
    """Opens the encoder and calls it."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder / "encoder"))
    for batch in pictures:
        model.signatures["encode_item"](image_bytes=tf.constant(batch))


def cost_here(way: str, folder: Path, warm: Path) -> Cost:
    """The cost of one way, after it was warmed up on a few items."""
    if way == BARE:
        encode(warm, batches(warm))
        pictures = batches(folder)
        return measured(lambda: encode(folder, pictures))
    at = [base if way == FULL else base / "new" for base in (warm, folder)]
    previous = [None if way == FULL else base / "catalog" for base in (warm, folder)]
    output = folder / "out"
    embed(at[0], output, previous[0])
    return measured(lambda: embed(at[1], output, previous[1]))


def compare(base: Path, tower: str, count: int, runs: int) -> None:
    """Prints a tower's lines."""
    folder, warm = base / tower, base / f"{tower}-warm"
    prepare(folder, tower, count)
    prepare(warm, tower, WARM_ITEMS)
    places = str(folder), str(warm)
    found = [
        {way: cost_apart(__spec__.name, way, *places) for way in (BARE, FULL, NEW)}
        for _ in range(runs)
    ]
    costs = {
        way: Cost(*map(median, zip(*(run[way] for run in found), strict=True)))
        for way in (BARE, FULL, NEW)
    }
    share = median(run[BARE].cpu / run[FULL].cpu for run in found)
    part = median(run[NEW].cpu / run[FULL].cpu for run in found)
    notes = {
        BARE: "",
        FULL: f"{share:.2f}x the bare encoder, target at least {LEAST_SHARE}x",
        NEW: f"{part:.2f}x the CPU of a full run",
    }
    for way, cost in costs.items():
        print(
            f"{tower:>8}{count:>9,}  {way:<13}{cost.cpu:>8.1f}{cost.wall:>8.1f}"
            f"{count / cost.cpu:>13,.0f}  {notes[way]}",
            flush=True,
        )


def section(base: Path, runs: int) -> None:
    """Prints the table."""
    print(f"\nembed_items: items to a catalog, medians of {runs} runs in turn")
    print(
        f"{'tower':>8}{'items':>9}  {'way':<13}{'CPU s':>8}{'wall s':>8}"
        f"{'items/CPU s':>13}"
    )
    for tower, count in ITEMS.items():
        compare(base / "embed_items", tower, count, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=(BARE, FULL, NEW))
    for name in ("folder", "warm"):
        parser.add_argument(name, type=Path)
    chosen = parser.parse_args()
    print_cost(cost_here(chosen.way, chosen.folder, chosen.warm))


if __name__ == "__main__":
    main()
