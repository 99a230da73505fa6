"""Row-wise optimizers against Keras's own: error and time of a training step.

`python -m benchmarks.row_optimizers [--size smoke|standard]` prints how far 50 sparse
steps with repeated ids end from a reference, and CPU and wall time per step of one
model (batch 1024, 20 ids per example, embeddings of 16) as its table grows. The peer is
`keras.optimizers.Adam` on `keras.layers.Embedding`. Steps are interleaved; medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmm.layers import Embedding
from tfmm.ranking import LazyAdam, SparseAdagrad

BATCH, IDS, DIMENSION = 1024, 20, 16
SIZES = {
    "smoke": ([1_000, 3_000], 2),
    "standard": ([10_000, 1_000_000, 10_000_000], 21),
}
STOCK, OURS = "Adam, Keras table", "LazyAdam"


class Case(NamedTuple):
    """A table layer and the optimizer that trains it."""

    table: Callable[[int], Any]
    optimizer: Callable[[], Any]
    jit: bool = False
    most_rows: int = 10_000_000


def our_table(rows: int) -> Any:
    return Embedding(rows, DIMENSION)


def keras_table(rows: int) -> Any:
    return keras.layers.Embedding(rows, DIMENSION)


CASES = {
    STOCK: Case(keras_table, lambda: keras.optimizers.Adam(0.001)),
    "Adam, our table": Case(
        our_table, lambda: keras.optimizers.Adam(0.001), most_rows=1_000_000
    ),
    OURS: Case(our_table, lambda: LazyAdam(0.001)),
    "SparseAdagrad": Case(our_table, lambda: SparseAdagrad(0.05)),
    "LazyAdam by XLA": Case(
        our_table, lambda: LazyAdam(0.001), True, most_rows=1_000_000
    ),
}


# Error: the same gradients, sparse and dense.
ROWS, WIDTH, STEPS = 20, 3, 50


def sparse_steps(every_row: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids that repeat within every step, and their gradient rows."""
    draw = np.random.default_rng(0)
    for _ in range(STEPS):
        ids = draw.integers(0, ROWS, 12)
        ids[:4] = ids[0]
        if every_row:
            ids = np.concatenate([ids, np.arange(ROWS)])
        yield ids, draw.normal(size=[len(ids), WIDTH]).astype("float32")


def summed(ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    gradient = np.zeros([ROWS, WIDTH], "float32")
    np.add.at(gradient, ids, rows)
    return gradient


def moved(optimizer: Any, every_row: bool, sparse: bool) -> np.ndarray:
    """Where a table ends that starts at zeros."""
    table = keras.Variable(np.zeros([ROWS, WIDTH], "float32"))
    for ids, rows in sparse_steps(every_row):
        gradient = tf.constant(summed(ids, rows))
        if sparse:
            parts = tf.constant(rows), tf.constant(ids), tf.constant([ROWS, WIDTH])
            gradient = tf.IndexedSlices(*parts)
        optimizer.apply([gradient], [table])
    return table.numpy()


def lazy_adam(rate: float) -> np.ndarray:
    """Lazy Adam in plain numpy; its bias correction in float32, as Keras has it."""
    table, mean, square = (np.zeros([ROWS, WIDTH]) for _ in range(3))
    slow = np.float32(0.999)
    for step, (ids, rows) in enumerate(sparse_steps(every_row=False), start=1):
        hit = np.unique(ids)
        gradient = summed(ids, rows)[hit]
        mean[hit] = 0.9 * mean[hit] + 0.1 * gradient
        square[hit] = 0.999 * square[hit] + 0.001 * gradient**2
        scale = rate * np.sqrt(1 - slow**step) / (1 - np.float32(0.9) ** step)
        table[hit] -= scale * mean[hit] / (np.sqrt(square[hit]) + 1e-7)
    return table


def deviations() -> list[tuple[str, float, float]]:
    """What is compared, and the largest error of the stock optimizer and of ours."""
    rate = 0.05
    adam, adagrad = keras.optimizers.Adam, keras.optimizers.Adagrad
    dense_adam = moved(adam(rate), every_row=False, sparse=False)
    cases = [
        (
            "Adagrad, dense reference",
            moved(adagrad(rate), False, sparse=False),
            moved(adagrad(rate), False, sparse=True),
            moved(SparseAdagrad(rate), False, sparse=True),
        ),
        (
            "Adam, every row hit, dense reference",
            moved(adam(rate), True, sparse=False),
            moved(adam(rate), True, sparse=True),
            moved(LazyAdam(rate), True, sparse=True),
        ),
    ]
    found = [(name, *_errors(*tables)) for name, *tables in cases]
    ours = moved(LazyAdam(rate), False, sparse=True) - lazy_adam(rate)
    stock = moved(adam(rate), False, sparse=True) - dense_adam
    name = "Adam, rows absent, stock: dense, ours: numpy"
    return [*found, (name, float(abs(stock).max()), float(abs(ours).max()))]


def _errors(expected: Any, *actual: Any) -> list[float]:
    return [float(abs(table - expected).max()) for table in actual]


# Time.
def batches(rows: int, count: int) -> tf.data.Dataset:
    """Skewed ids, as clicks are, and labels."""
    draw = np.random.default_rng(0)
    ids = (rows * draw.random([count, BATCH, IDS]) ** 3).astype("int32")
    labels = draw.integers(0, 2, [count, BATCH, 1]).astype("float32")
    return tf.data.Dataset.from_tensor_slices((ids, labels))


def training_step(case: Case, rows: int, data: tf.data.Dataset) -> Callable[[], Any]:
    """One step of a compiled model on the next batch."""
    ids = keras.Input([IDS], dtype="int32")
    pooled = keras.ops.mean(case.table(rows)(ids), axis=1)
    hidden = keras.layers.Dense(32, "relu")(pooled)
    model = keras.Model(ids, keras.layers.Dense(1, "sigmoid")(hidden))
    model.compile(case.optimizer(), "binary_crossentropy", jit_compile=case.jit)
    model.make_train_function()
    source = iter(data)
    return lambda: model.train_function(source)


class Time(NamedTuple):
    """Milliseconds of one step."""

    cpu: float
    wall: float


def times(rows: int, repeats: int) -> dict[str, Time]:
    """Median time per step of every case, by name."""
    data = batches(rows, repeats + 2)
    steps = {
        name: training_step(case, rows, data)
        for name, case in CASES.items()
        if rows <= case.most_rows
    }
    for step in steps.values():  # Traces, compiles, and leaves the first copy behind.
        step()
        step()
    found: dict[str, list[Time]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            found[name].append(_timed(step))
    return {
        name: Time(*(statistics.median(part) for part in zip(*all_of, strict=True)))
        for name, all_of in found.items()
    }


def _timed(step: Callable[[], Any]) -> Time:
    cpu, wall = time.process_time(), time.perf_counter()
    step()
    return Time(1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(SIZES), default="standard")
    sizes, repeats = SIZES[parser.parse_args().size]
    print(f"largest error after {STEPS} sparse steps with repeated ids")
    print(f"{'':>46}{'stock':>10}{'ours':>10}")
    for name, stock, ours in deviations():
        print(f"{name:>46}{stock:>10.1e}{ours:>10.1e}")
    heads = "".join(f"{name:>18}" for name in CASES)
    print(f"\nCPU (wall) ms per step, batch {BATCH} x {IDS} ids, medians of {repeats}")
    print(f"{'rows':>10}{heads}{f'stock / {OURS}':>18}")
    for rows in sizes:
        found = times(rows, repeats)
        cells = "".join(f"{_cell(found.get(name)):>18}" for name in CASES)
        ratio = f"{found[STOCK].cpu / found[OURS].cpu:.2f}x"
        print(f"{rows:>10}{cells}{ratio:>18}", flush=True)


def _cell(spent: Time | None) -> str:
    return f"{spent.cpu:.1f} ({spent.wall:.1f})" if spent else "-"


if __name__ == "__main__":
    main()
