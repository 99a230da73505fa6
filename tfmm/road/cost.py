"""What a ranker costs: its training step, its weights, its vectors."""

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import keras
from keras import ops

from tfmm.evaluation import Cost
from tfmm.layers.frozen_vectors import FrozenVectors

COST_FILE = "cost.json"


class StepTimes(keras.callbacks.Callback):
    """Seconds of every training step, from one step's end to the next.

    Reading the input is part of a step where the model waits for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seconds: list[float] = []
        self._last: tuple[int, float] | None = None

    @property
    def median(self) -> float:
        """The median step; 0 before two steps of one epoch have run."""
        return median(self._seconds) if self._seconds else 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._last = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.perf_counter()
        if self._last is not None:
            steps = batch - self._last[0]
            self._seconds.append((now - self._last[1]) / steps)
        self._last = batch, now


def cost_of(model: keras.Model, steps: StepTimes) -> Cost:
    """The cost of a trained model.

    Args:
        model: Its trained parameters and its `FrozenVectors` count.
        steps: What its fit has taken.
    """
    tables = {id(x): x for x in model._flatten_layers() if isinstance(x, FrozenVectors)}
    return Cost(
        seconds_per_step=steps.median,
        parameters=sum(math.prod(w.shape) for w in model.trainable_weights),
        vector_bytes=sum(
            ops.convert_to_numpy(weight).nbytes
            for table in tables.values()
            for weight in table.weights
        ),
    )


def write_cost(folder: Path, cost: Cost) -> None:
    """Writes `cost.json`."""
    text = json.dumps(asdict(cost), indent=1)
    (folder / COST_FILE).write_text(text + "\n", encoding="utf-8")


def read_cost(folder: Path) -> Cost | None:
    """Reads `cost.json`; `None` where there is none."""
    path = folder / COST_FILE
    return Cost(**json.loads(path.read_text())) if path.is_file() else None
