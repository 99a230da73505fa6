"""What all workers share: they train a piece at a time and answer on a pipe.

A worker is a process with a Python of its own, started as

    python deepctr_din.py DATA.npz RATE BATCH

It reads commands, one a line, and answers each with a line of JSON: `train BEGIN END`
(steps) with the seconds that it took and those in which it kept a core busy, `score`
with AUC on the held-out rows and the peak memory. Nothing but the standard library and
numpy is imported here.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

EMBEDDING, ATTENTION, HIDDEN = 16, (32, 16), (128, 64)


class Given(NamedTuple):
    """What a worker is started with.

    Args:
        data: Arrays of `benchmarks.train_data.write_data`.
        rate: Learning rate.
        batch: Rows of a step.
    """

    data: dict[str, np.ndarray]
    rate: float
    batch: int

    def test_rows(self) -> dict[str, np.ndarray]:
        """The held-out rows without their labels."""
        names = ("user", "item", "history")
        return {name: self.data[f"test_{name}"] for name in names}


class Trainer(Protocol):
    """A library's model on the data."""

    def train(self, begin: int, end: int) -> None:
        """Trains on the batches from `begin` to before `end`."""

    def scores(self) -> np.ndarray:
        """float `[T]`, of the held-out rows in their order."""


def serve(make: Callable[[Given], Trainer]) -> None:
    """Builds a trainer and obeys until the input ends."""
    path, rate, batch = sys.argv[1:4]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What libraries print is no answer.

    def answer(**found: Any) -> None:
        print(json.dumps(found), file=answers, flush=True)

    with np.load(path) as stored:
        given = Given(dict(stored), float(rate), int(batch))
    trainer = make(given)
    answer(ready=True)
    for line in sys.stdin:
        command, *places = line.split()
        if command == "train":
            begin, busy = time.perf_counter(), time.process_time()
            trainer.train(*map(int, places))
            seconds = time.perf_counter() - begin
            answer(seconds=seconds, cpu_seconds=time.process_time() - busy)
        else:
            highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            auc = area(given.data["test_label"], trainer.scores())
            answer(auc=auc, mebibytes=highest)


def area(labels: np.ndarray, scores: np.ndarray) -> float:
    """AUC; a tie counts half.

    Example:
        >>> area(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.5]))
        0.75
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)]
    clicked = labels > 0
    ones = int(clicked.sum())
    above = ranks[clicked].sum() - ones * (ones + 1) / 2
    return float(above / (ones * (len(labels) - ones)))


def torch_batches(given: Given) -> list[tuple[np.ndarray, ...]]:
    """(user, item, history, label) by step."""
    names = ("user", "item", "history", "label")
    rows = [given.data[f"row_{name}"] for name in names]
    return [
        tuple(part[begin : begin + given.batch] for part in rows)
        for begin in range(0, len(rows[0]), given.batch)
    ]
