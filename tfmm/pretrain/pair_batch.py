"""Which rows of a pair batch take part in what."""

from collections.abc import Container, Sequence
from typing import Any

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.task import Task

Batch = dict[str, tf.Tensor]
# Preprocessed rows [B, ...], and bool [B]: which of them are to be encoded.
Part = tuple[tf.Tensor, tf.Tensor]


def task_rows(task: Task, batch: Batch) -> tf.Tensor:
    """bool `[B]`: the pairs whose query and item have the task's modalities.

    Example:
        >>> batch = {"has_query_text": tf.constant([True, True]),
        ...          "has_item_image": tf.constant([True, False])}
        >>> task_rows(Task("text", "image"), batch).numpy().tolist()
        [True, False]
    """
    query, item = batch[f"has_query_{task.query}"], batch[f"has_item_{task.item}"]
    return tf.logical_and(query, item)


def item_rows(tasks: Sequence[Task], modality: str, batch: Batch) -> tf.Tensor:
    """bool `[B]`: the items that are the positive of any task of their modality."""
    rows = [task_rows(task, batch) for task in tasks if task.item == modality]
    return tf.reduce_any(tf.stack(rows), axis=0)


def negative_rows(tasks: Sequence[Task], modality: str, batch: Batch) -> tf.Tensor:
    """bool `[B]`: the hard negatives that are there and not the bought item itself."""
    there = tf.logical_and(
        batch[f"has_negative_{modality}"], item_rows(tasks, modality, batch)
    )
    return tf.logical_and(there, tf.not_equal(batch["negative"], batch["item"]))


def query_part(task: Task, batch: Batch) -> Part:
    """The queries of a task."""
    return batch[f"query_{task.query}"], task_rows(task, batch)


def tower_parts(
    modality: str,
    tasks: Sequence[Task],
    own_query_tower: Container[str],
    batch: Batch,
    hard: bool,
) -> dict[str, Part]:
    """All that a modality's tower encodes, in one call.

    Args:
        modality: The tower's.
        tasks: All tasks.
        own_query_tower: Names of the tasks whose queries have a tower of their own.
        batch: The pair batch.
        hard: Whether hard negatives are wanted.
    """
    parts = {
        f"{task.name}_query": query_part(task, batch)
        for task in tasks
        if task.query == modality and task.name not in own_query_tower
    }
    if modality in [task.item for task in tasks]:
        rows = item_rows(tasks, modality, batch)
        parts[f"{modality}_item"] = batch[f"item_{modality}"], rows
        if hard:
            rows = negative_rows(tasks, modality, batch)
            parts[f"{modality}_negative"] = batch[f"negative_{modality}"], rows
    return parts


def check_batch(batch: Any, tasks: Sequence[Task]) -> None:
    """Raises `TfmmError` if a batch lacks tensors that the tasks read."""
    wanted = {"item", "negative"}
    for task in tasks:
        item, negative = f"item_{task.item}", f"negative_{task.item}"
        for part in (f"query_{task.query}", item, negative):
            wanted |= {part, f"has_{part}"}
    received = sorted(batch) if isinstance(batch, dict) else type(batch).__name__
    if missing := sorted(wanted - set(batch if isinstance(batch, dict) else ())):
        raise TfmmError(
            f"A pair batch lacks: {', '.join(missing)}. Received: {received}. "
            "Read it with `tfmm.data.pairs` and the same encoders."
        )


def count_pairs(pairs: Any) -> int | None:
    """How many pairs a data set holds (rounded up to a batch); None if unknown."""
    if (count := getattr(pairs, "num_pairs", None)) is not None:
        return count
    if not isinstance(pairs, tf.data.Dataset) or int(pairs.cardinality()) < 1:
        return None
    first = next(iter(pairs.take(1)))
    return int(pairs.cardinality()) * int(tf.shape(first["item"])[0])
