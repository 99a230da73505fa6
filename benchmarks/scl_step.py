"""What a memory bank costs: step time of SCL against plain steps, and exactness.

    python -m benchmarks.scl_step [--size smoke|standard]

Step time is a ratio to a plain in-batch step of the same towers, batch and optimizer,
taken in one process with interleaved runs, as the ratio of medians. Memory is measured
by `python -m benchmarks.scl_memory`. Ends with 1 if a demanded bound is exceeded.
"""

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.bounds import Bounds
from benchmarks.scl_cases import (
    FIRST_GROUP,
    SIZES,
    TEMPERATURE,
    Size,
    fill_banks,
    pair_batch,
    plain_model,
    scl_model,
    unit,
)

SLOWER = 1.25
RELATIVE_ERROR = 1e-6


def step_of(model: Any, batch: dict[str, np.ndarray]) -> Callable[[], None]:
    """A compiled training step on one batch, traced and warmed up."""
    import tensorflow as tf

    tensors = tf.nest.map_structure(tf.constant, batch)

    def step() -> None:
        model.train_on_batch(tensors)

    step()
    fill_banks(model)
    step()
    return step


def seconds(steps: dict[str, Callable[[], None]], runs: int) -> dict[str, list[float]]:
    """What each step took, the cases taking turns."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(runs):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            found[name].append(time.perf_counter() - begin)
    return found


def spread(times: list[float]) -> str:
    """Median and range, e.g. `0.120 s (0.110-0.150)`."""
    return f"{median(times):.3f} s ({min(times):.3f}-{max(times):.3f})"


def step_times(size: Size, bounds: Bounds) -> None:
    for tower in size.towers:
        batch = size.base_batch if tower == "base" else size.micro_batch
        print(
            f"\nStep time, {tower} tower, {size.image_size} px, batch {batch}, bank "
            f"{size.bank:,} x {size.dimension}; median (min-max) of {size.steps}, "
            "interleaved"
        )
        for hard in (False, True):
            rows = pair_batch(size, batch, hard)
            steps = {
                "plain": step_of(plain_model(tower, size, hard), rows),
                "scl": step_of(scl_model(tower, size, hard), rows),
            }
            found = seconds(steps, size.steps)
            ratio = median(found["scl"]) / median(found["plain"])
            what = "with the hard negative" if hard else "without the triplet term"
            verdict = bounds.check(ratio, SLOWER) if tower == "base" else ""
            print(
                f"  {what:25} plain {spread(found['plain'])}  SCL "
                f"{spread(found['scl'])}  ratio {ratio:.3f}  {verdict}",
                flush=True,
            )


def exactness(size: Size, bounds: Bounds) -> None:
    """InfoNCE with the full bank against a plain numpy version in float64."""
    print(f"InfoNCE of {size.micro_batch} pairs against float64 numpy, largest error")
    for name, error in relative_errors(size).items():
        verdict = bounds.check(error, RELATIVE_ERROR)
        print(f"  {name:30} {error:.1e} relative, {verdict}", flush=True)


def relative_errors(size: Size) -> dict[str, float]:
    """One sum over batch and bank, and SCL's default of two, whole and chunked."""
    from tfmm.pretrain import bank_nce, info_nce

    batch = size.micro_batch
    # `seen`: the positives as the momentum copy encodes them.
    query, item, seen = (unit(batch, size.dimension, seed) for seed in (1, 2, 3))
    bank = unit(size.bank, size.dimension, 4)
    groups = np.arange(size.bank, dtype=np.int32) + FIRST_GROUP
    joint = plain_nce(query, item, item, bank)
    parted = plain_nce(query, item, item, None) + plain_nce(query, seen, None, bank)
    errors = {}
    for name, chunk in (("whole", None), ("chunked", max(1, size.bank // 50))):
        both = {"bank": bank, "bank_groups": groups, "chunk_size": chunk}
        loss = info_nce(query, item, TEMPERATURE, **both)
        errors[f"batch and bank in one, {name}"] = relative_error(loss, joint)
        loss = info_nce(query, item, TEMPERATURE, chunk_size=chunk)
        loss += bank_nce(query, seen, TEMPERATURE, **both)
        errors[f"batch + bank, {name}"] = relative_error(loss, parted)
    return errors


def plain_nce(
    query: np.ndarray,
    positive: np.ndarray,
    batch: np.ndarray | None,
    bank: np.ndarray | None,
) -> np.ndarray:
    """InfoNCE against the batch's other items, the bank's keys, or both, in float64."""
    query, positive = query.astype(np.float64), positive.astype(np.float64)
    tables = [np.sum(query * positive, axis=1, keepdims=True)]
    if batch is not None:
        tables.append(query @ batch.T)
        np.fill_diagonal(tables[-1], -np.inf)
    if bank is not None:
        tables.append(query @ bank.T)
    logits = np.concatenate(tables, axis=1) / TEMPERATURE
    return np.log(np.exp(logits - logits[:, :1]).sum(axis=1))


def relative_error(found: Any, expected: np.ndarray) -> float:
    return float(np.max(np.abs(np.asarray(found) - expected) / np.abs(expected)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    size = SIZES[parser.parse_args().size]
    bounds = Bounds(size.judged)
    exactness(size, bounds)
    step_times(size, bounds)
    sys.exit(bounds.exit_code)


if __name__ == "__main__":
    main()
