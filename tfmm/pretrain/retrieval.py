"""Acc@N: how often the bought item is among the N nearest of all test items."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from tfmm.errors import TfmmError
from tfmm.pretrain.pair_batch import task_rows


def accuracy_at(
    query_vectors: np.ndarray,
    query_items: np.ndarray,
    item_vectors: np.ndarray,
    item_ids: np.ndarray,
    k: Sequence[int] = (1, 5),
    chunk_size: int = 1024,
    tolerance: float = 1e-6,
) -> dict[int, float]:
    """Exact retrieval accuracy over all candidates (eq. 6).

    `Acc@N = (1 / D) sum_i [p_i in Top_N(q_i, S)]`, S being all distinct items given.
    Items as near as the positive share the mean of their ranks, so that a tower that
    maps everything to one point gains nothing.

    Args:
        query_vectors: float `[Q, d]`, L2-normalised.
        query_items: int `[Q]`, the item that answers each query.
        item_vectors: float `[D, d]`; of an item that occurs twice the first counts.
        item_ids: int `[D]`.
        k: The N of Acc@N.
        chunk_size: How many queries are compared at once.
        tolerance: Similarities no further apart than this are ties (rounding).

    Returns:
        Acc@N by N; NaN if there is no query.

    Raises:
        TfmmError: If shapes disagree or a query's item is not among the candidates.

    Example:
        >>> items = np.eye(3)
        >>> queries = np.array([[1, 0, 0], [0, 0.6, 0.8]])
        >>> accuracy_at(queries, np.array([7, 8]), items, np.array([7, 8, 9]), k=(1, 2))
        {1: 0.5, 2: 1.0}
    """
    query_items, item_ids = np.asarray(query_items), np.asarray(item_ids)
    _check_shapes(query_vectors, query_items, item_vectors, item_ids, k)
    if not len(query_items):
        return {n: float("nan") for n in k}
    ids, first = np.unique(item_ids, return_index=True)
    candidates = np.asarray(item_vectors, np.float32)[first].T
    places = np.minimum(np.searchsorted(ids, query_items), len(ids) - 1)
    if np.any(unknown := ids[places] != query_items):
        raise TfmmError(
            "Each query's item must be among the candidates. Received: item "
            f"{query_items[unknown][0]} without a vector. Pass all items' vectors."
        )
    ranks = np.concatenate(
        [
            _mean_ranks(
                np.asarray(query_vectors[i : i + chunk_size], np.float32) @ candidates,
                places[i : i + chunk_size],
                tolerance,
            )
            for i in range(0, len(query_items), chunk_size)
        ]
    )
    return {n: float(np.mean(ranks <= n)) for n in k}


def retrieval_accuracy(
    model: Any, pairs: Iterable[Any], k: Sequence[int] = (1, 5)
) -> dict[str, float]:
    """Acc@N of each of an `SCL` model's tasks on test pairs.

    Args:
        model: The `SCL` model.
        pairs: Batches as `tfmm.data.pairs` yields them, in any order.
        k: The N of Acc@N.

    Returns:
        `{"image_acc@1": ..., "image_acc@5": ..., "text_acc@1": ...}`; NaN for a task
        without a single pair.
    """
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {t.name: [] for t in model.tasks}
    for batch in pairs:
        _collect(model, batch, parts)
    result = {}
    for name, chunks in parts.items():
        if chunks:
            queries, items, ids = (
                np.concatenate(column) for column in zip(*chunks, strict=True)
            )
            accuracy = accuracy_at(queries, ids, items, ids, k)
        else:
            accuracy = {n: float("nan") for n in k}
        result.update({f"{name}_acc@{n}": value for n, value in accuracy.items()})
    return result


class RetrievalAccuracy(keras.callbacks.Callback):
    """Adds Acc@N on test pairs to the logs of each epoch, e.g. `val_image_acc@1`.

    `SCL.fit` adds it by itself for its `validation_data`.

    Args:
        pairs: Batches of test pairs, iterated once per epoch.
        k: The N of Acc@N.
        prefix: What the names begin with.
    """

    def __init__(
        self, pairs: Iterable[Any], k: Sequence[int] = (1, 5), prefix: str = "val_"
    ) -> None:
        super().__init__()
        self.pairs = pairs
        self.k = tuple(k)
        self.prefix = prefix

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Computes the accuracies and adds them to `logs`."""
        accuracy = retrieval_accuracy(self.model, self.pairs, self.k)
        if logs is not None:
            logs.update({self.prefix + name: value for name, value in accuracy.items()})


def _collect(
    model: Any, batch: dict[str, Any], parts: dict[str, list[tuple[np.ndarray, ...]]]
) -> None:
    # Without negatives the towers have a third less to do.
    batch = {
        name: np.zeros_like(value) if name.startswith("has_negative") else value
        for name, value in batch.items()
    }
    items = np.asarray(batch["item"])
    vectors = model.predict_on_batch(batch)
    for task in model.tasks:
        there = np.asarray(task_rows(task, batch))
        if there.any():
            query, item = vectors[f"{task.name}_query"], vectors[f"{task.item}_item"]
            parts[task.name].append((query[there], item[there], items[there]))


def _mean_ranks(scores: np.ndarray, places: np.ndarray, tolerance: float) -> np.ndarray:
    """Rank of each row's place, 1 is best; ties share the mean of their ranks."""
    own = np.take_along_axis(scores, places[:, None], axis=1)
    above = np.count_nonzero(scores > own + tolerance, axis=1)
    level = np.count_nonzero(scores >= own - tolerance, axis=1) - above
    return above + (level + 1) / 2


def _check_shapes(
    query_vectors: np.ndarray,
    query_items: np.ndarray,
    item_vectors: np.ndarray,
    item_ids: np.ndarray,
    k: Sequence[int],
) -> None:
    shapes = [np.shape(x) for x in (query_vectors, query_items, item_vectors, item_ids)]
    ok = (
        [len(shape) for shape in shapes] == [2, 1, 2, 1]
        and shapes[0][0] == shapes[1][0]
        and shapes[2][0] == shapes[3][0]
        and shapes[0][1] == shapes[2][1]
        and all(n >= 1 for n in k)
    )
    if not ok:
        raise TfmmError(
            "Expected query vectors [Q, d], their items [Q], item vectors [D, d], item "
            f"ids [D] and k >= 1. Received: shapes {shapes}, k={tuple(k)}. "
            "Give each vector its id."
        )
