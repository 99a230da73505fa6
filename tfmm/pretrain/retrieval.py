"""Acc@N: how often the bought item is among the N nearest of all test items."""

import warnings
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from tfmm.errors import TfmmError
from tfmm.pretrain.collapse import warning
from tfmm.pretrain.embedded import Embedded
from tfmm.pretrain.pair_batch import task_rows


def embed_pairs(model: Any, pairs: Iterable[Any]) -> dict[str, Embedded]:
    """Embeds test pairs once, for all that is measured on them.

    A task takes the pairs that have its modalities and come from its source; its
    candidates are the distinct items of these pairs.

    Args:
        model: The `SCL` model.
        pairs: Batches as `tfmm.data.pairs` yields them, in any order.

    Returns:
        One `Embedded` a task, by the task's name; without rows where a task has no
        pair.

    Raises:
        TfmmError: If there is no batch at all.
    """
    parts = {task.name: _Parts() for task in model.tasks}
    batch = None
    for batch in pairs:
        # Without negatives the towers have a third less to do.
        batch = {
            name: np.zeros_like(value) if name.startswith("has_negative") else value
            for name, value in batch.items()
        }
        vectors = model.predict_on_batch(batch)
        for task in model.tasks:
            item = vectors[f"{task.item}_item"]
            there = np.asarray(task_rows(task, batch))
            parts[task.name].add(vectors[f"{task.name}_query"], item, batch, there)
    if batch is None:
        raise TfmmError(
            "There is no pair to measure retrieval on. Received: no batch. Check the "
            "split rule: pairs after the split are the test pairs."
        )
    return {name: part.whole() for name, part in parts.items()}


def retrieval_accuracy(
    model: Any, pairs: Iterable[Any], k: Sequence[int] = (1, 5)
) -> dict[str, float]:
    """Acc@N and collapse numbers of each of an `SCL` model's tasks on test pairs.

    Args:
        model: The `SCL` model.
        pairs: Batches as `tfmm.data.pairs` yields them, in any order.
        k: The N of Acc@N.

    Returns:
        `{"image_acc@1": ..., "image_acc@5": ..., "image_std": ..., "image_uniformity":
        ..., "image_distinct": ..., "text_acc@1": ...}`, and `image_recall@1` and so on
        where queries have several answers; NaN for a task without a single pair.
    """
    return {
        f"{name}_{what}": value
        for name, embedded in embed_pairs(model, pairs).items()
        for what, value in embedded.numbers(k).items()
    }


class RetrievalAccuracy(keras.callbacks.Callback):
    """Adds Acc@N and collapse numbers on test pairs to the logs of each epoch.

    E.g. `val_image_acc@1`, `val_image_std`, `val_image_uniformity` and
    `val_image_distinct`; see `Collapse`. Warns when a task has collapsed. `SCL.fit`
    adds it by itself for its `validation_data`.

    Args:
        pairs: Batches of test pairs, iterated once per epoch.
        k: The N of Acc@N.
        prefix: What the names begin with.
        every: As Keras's `validation_freq`: every so many epochs, or the numbers of
            the epochs, counted from 1.
    """

    def __init__(
        self,
        pairs: Iterable[Any],
        k: Sequence[int] = (1, 5),
        prefix: str = "val_",
        every: int | Collection[int] = 1,
    ) -> None:
        super().__init__()
        self.every = every
        self.pairs = pairs
        self.k = tuple(k)
        self.prefix = prefix

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Computes the numbers and adds them to `logs`."""
        number = epoch + 1
        every = self.every
        due = number % every == 0 if isinstance(every, int) else number in every
        if not due:
            return
        for name, embedded in embed_pairs(self.model, self.pairs).items():
            if embedded.collapse.collapsed:
                warnings.warn(warning(name, embedded.collapse), stacklevel=2)
            if logs is not None:
                numbers = embedded.numbers(self.k)
                logs.update({f"{self.prefix}{name}_{n}": v for n, v in numbers.items()})


class _Parts:
    """What the batches gave of one task; of an item that occurs twice, the first."""

    def __init__(self) -> None:
        self.pairs: list[tuple[np.ndarray, ...]] = []
        self.items: list[tuple[np.ndarray, ...]] = []
        self.seen: set[int] = set()

    def add(
        self,
        query: np.ndarray,
        item: np.ndarray,
        batch: dict[str, Any],
        there: np.ndarray,
    ) -> None:
        rows = np.asarray(batch["item"])
        groups = np.asarray(batch.get("group", rows))
        none = np.zeros((len(rows), 0), np.int32)
        positives = np.asarray(batch.get("positives", none))
        self.pairs.append((query[there], rows[there], groups[there], positives[there]))
        fresh = []
        for place in np.flatnonzero(there):
            if (row := int(rows[place])) not in self.seen:
                self.seen.add(row)
                fresh.append(place)
        self.items.append((item[fresh], rows[fresh], groups[fresh]))

    def whole(self) -> Embedded:
        width = max(part[3].shape[1] for part in self.pairs)
        wide = [
            (*part[:3], np.pad(part[3], ((0, 0), (0, width - part[3].shape[1]))))
            for part in self.pairs
        ]
        pairs = [np.concatenate(column) for column in zip(*wide, strict=True)]
        items = [np.concatenate(column) for column in zip(*self.items, strict=True)]
        order = np.argsort(items[1])
        return Embedded(*pairs, *(column[order] for column in items))
