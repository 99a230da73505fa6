"""What a memory bank costs: step time and peak memory of SCL against plain steps.

    python -m benchmarks.scl_step [--size smoke|standard]

Step time is a ratio to a plain in-batch step of the same towers and batch, taken in
one process with interleaved runs, as the ratio of medians. Peak memory is that of a
process of its own per case, after a warm-up step, so that what a case adds is the
difference of two processes.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Size:
    """What is measured.

    Args:
        bank: Keys of the memory bank, K.
        steps: Timed steps of every case.
        base_batch: Pairs per step of the `base` tower.
        micro_batch: Pairs per step of the `micro` tower.
        image_size: Side of the pictures.
        loss_batch: Queries of the loss alone.
        dimension: Length d of the vectors.
        towers: Which towers are timed.
    """

    bank: int = 196_800
    steps: int = 7
    base_batch: int = 16
    micro_batch: int = 64
    image_size: int = 64
    loss_batch: int = 1024
    dimension: int = 128
    towers: tuple[str, ...] = ("micro", "base")


SIZES = {
    "standard": Size(),
    "smoke": Size(
        bank=2_000, steps=2, micro_batch=16, loss_batch=64, towers=("micro",)
    ),
}


def pair_batch(size: Size, batch: int, hard: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (batch, size.image_size, size.image_size, 3)
    there = np.ones(batch, bool)
    parts = {
        name: rng.integers(0, 256, shape, np.uint8)
        for name in ("query_image", "item_image", "negative_image")
    }
    return {
        **parts,
        "has_query_image": there,
        "has_item_image": there,
        "has_negative_image": there & hard,
        "item": np.arange(2, batch + 2, dtype=np.int32),
        "negative": np.arange(batch + 2, 2 * batch + 2, dtype=np.int32) * hard,
    }


def plain_model(tower: str, size: Size, hard: bool) -> Any:
    """The step that everybody writes: one tower, the batch's items as negatives."""
    import keras
    import tensorflow as tf

    import tfmm

    encoder = tfmm.encoders.image(
        tower, dimension=size.dimension, image_size=size.image_size
    )

    class InBatch(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.tower = encoder.tower

        def call(self, batch: Any, training: bool = False) -> Any:
            parts = [batch["query_image"], batch["item_image"]]
            parts += [batch["negative_image"]] if hard else []
            vectors = self.tower(tf.concat(parts, 0), training=training)
            return tf.split(vectors, len(parts))

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any
        ) -> Any:
            query, item = y_pred[0], y_pred[1]
            logits = tf.matmul(query, item, transpose_b=True) / 0.07
            labels = tf.range(tf.shape(logits)[0])
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            if hard:
                apart = tf.reduce_sum(query * (y_pred[2] - item), axis=-1)
                loss += tf.nn.relu(0.1 + apart)
            return tf.reduce_mean(loss)

    return InBatch()


def scl_model(tower: str, size: Size, hard: bool, bank: int | None = None) -> Any:
    import tfmm

    encoder = tfmm.encoders.image(
        tower, dimension=size.dimension, image_size=size.image_size
    )
    return tfmm.SCL(
        image=encoder,
        bank_size=size.bank if bank is None else bank,
        triplet_weight=1.0 if hard else 0.0,
    )


def step_of(model: Any, batch: dict[str, np.ndarray]) -> Callable[[], None]:
    """A compiled training step on one batch, traced and warmed up."""
    import keras
    import tensorflow as tf

    model.compile(optimizer=keras.optimizers.AdamW(1e-4), jit_compile=False)
    data = tf.data.Dataset.from_tensors(batch).repeat()
    tensors = next(iter(data))
    model.fit(data, steps_per_epoch=1, verbose=0, shuffle=False)
    fill_banks(model)

    def step() -> None:
        model.train_on_batch(tensors)

    step()
    return step


def fill_banks(model: Any) -> None:
    """Every slot occupied: what a step costs once training has gone on for a while."""
    rng = np.random.default_rng(1)
    for bank in getattr(model, "banks", {}).values():
        keys = rng.normal(size=(bank.size, bank.dimension)).astype(np.float32)
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
        groups = np.arange(10**6, 10**6 + bank.size, dtype=np.int32)
        bank.enqueue(keys, groups)


def seconds(steps: dict[str, Callable[[], None]], runs: int) -> dict[str, float]:
    """Median seconds of each step, the cases taking turns."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(runs):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            found[name].append(time.perf_counter() - begin)
    return {name: median(times) for name, times in found.items()}


def step_times(size: Size) -> None:
    for tower in size.towers:
        batch = size.base_batch if tower == "base" else size.micro_batch
        print(
            f"\nStep time, {tower} tower, {size.image_size} px, batch {batch}, bank "
            f"{size.bank:,} x {size.dimension}, median of {size.steps} interleaved"
        )
        for hard, bound in ((False, "at most 1.25"), (True, "")):
            rows = pair_batch(size, batch, hard)
            steps = {
                "plain": step_of(plain_model(tower, size, hard), rows),
                "scl": step_of(scl_model(tower, size, hard), rows),
            }
            found = seconds(steps, size.steps)
            what = "with the hard negative" if hard else "without the triplet term"
            bound = f"  ({bound} demanded)" if bound and tower == "base" else ""
            print(
                f"  {what:26} plain {found['plain']:7.3f} s   SCL {found['scl']:7.3f} s"
                f"   ratio {found['scl'] / found['plain']:.3f}{bound}",
                flush=True,
            )


def exactness(size: Size) -> None:
    """InfoNCE with the full bank against a plain numpy version in float64."""
    from tfmm.pretrain import info_nce

    batch = size.micro_batch
    query, item, bank = (
        unit(n, size.dimension, n) for n in (batch, batch + 1, size.bank)
    )
    item = item[:batch]
    expected = plain_info_nce(query, item, bank, 0.07)
    groups = np.arange(10**6, 10**6 + size.bank, dtype=np.int32)
    for name, chunk in (("full", None), ("chunked", max(1, size.bank // 50))):
        loss = np.asarray(
            info_nce(query, item, 0.07, bank=bank, bank_groups=groups, chunk_size=chunk)
        )
        error = np.abs(loss - expected).max() / np.abs(expected).max()
        print(f"  InfoNCE {name:8} against numpy: largest relative error {error:.1e}")


def unit(count: int, dimension: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def plain_info_nce(
    query: np.ndarray, item: np.ndarray, bank: np.ndarray, tau: float
) -> np.ndarray:
    query, item, bank = (np.asarray(x, np.float64) for x in (query, item, bank))
    logits = query @ np.concatenate([item, bank]).T / tau
    top = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return total - np.diag(logits)


def peak_step(size: Size, bank: int) -> None:
    """Child process: two steps of SCL, the bank full."""
    model = scl_model("micro", size, hard=False, bank=bank)
    step_of(model, pair_batch(size, size.micro_batch, hard=False))()


def peak_loss(size: Size, chunk: int | None) -> None:
    """Child process: the loss and its gradients, of a large batch."""
    import tensorflow as tf

    from tfmm.pretrain import info_nce

    query = tf.Variable(unit(size.loss_batch, size.dimension, 0))
    item = tf.Variable(unit(size.loss_batch, size.dimension, 1))
    bank = tf.Variable(unit(size.bank, size.dimension, 2))
    groups = tf.range(10**6, 10**6 + size.bank)

    @tf.function
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(
                info_nce(
                    query, item, 0.07, bank=bank, bank_groups=groups, chunk_size=chunk
                )
            )
        return tape.gradient(loss, [query, item])

    gradients()


def peak(size_name: str, case: str) -> float:
    """Peak resident memory, in MiB, of a process that does one case."""
    command = [sys.executable, "-m", "benchmarks.scl_step"]
    command += ["--size", size_name, "--case", case]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


CASES: dict[str, Callable[[Size], None]] = {
    "step_without_bank": lambda size: peak_step(size, 0),
    "step_with_bank": lambda size: peak_step(size, size.bank),
    "loss_nothing": lambda size: peak_loss(
        Size(bank=1, loss_batch=2, dimension=size.dimension), None
    ),
    "loss_full": lambda size: peak_loss(size, None),
    "loss_chunked": lambda size: peak_loss(size, 4096),
}


def memory(name: str, size: Size) -> None:
    found = {case: peak(name, case) for case in CASES}
    keys = size.bank * size.dimension * 4 / MEBIBYTE
    logits = size.micro_batch * size.bank * 4 / MEBIBYTE
    added = found["step_with_bank"] - found["step_without_bank"]
    print(
        f"\nPeak memory of a step, micro tower, batch {size.micro_batch}, bank "
        f"{size.bank:,} x {size.dimension}\n"
        f"  without a bank {found['step_without_bank']:8.0f} MiB\n"
        f"  with the bank  {found['step_with_bank']:8.0f} MiB, {added:.0f} MiB more; "
        f"2 K d 4 + 3 B K 4 = {2 * keys + 3 * logits:.0f} MiB\n"
        f"  (the bank itself {keys:.0f} MiB, one [B, K] table {logits:.0f} MiB)"
    )
    full = found["loss_full"] - found["loss_nothing"]
    chunked = found["loss_chunked"] - found["loss_nothing"]
    print(
        f"\nPeak memory of loss and gradients alone, batch {size.loss_batch}\n"
        f"  full    {full:8.0f} MiB\n  chunked {chunked:8.0f} MiB, "
        f"{full / max(chunked, 1):.1f} times less (the bank alone is {keys:.0f} MiB)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = SIZES[options.size]
    if options.case:
        CASES[options.case](size)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    exactness(size)
    memory(options.size, size)
    step_times(size)


if __name__ == "__main__":
    main()
