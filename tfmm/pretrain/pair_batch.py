"""Which rows of a pair batch take part in what."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.task import Task, parts_of
from tfmm.records.sources import SOURCES

Batch = dict[str, tf.Tensor]
# Preprocessed rows [B, ...], and bool [B]: which of them are to be encoded.
Part = tuple[tf.Tensor, tf.Tensor]


def present(part: str, modality: str, batch: Batch) -> tf.Tensor:
    """bool `[B]`: whether the query, item or negative has the modality.

    A fused vector needs one of its parts only.

    Example:
        >>> batch = {"has_item_image": tf.constant([True, False, False]),
        ...          "has_item_text": tf.constant([True, True, False])}
        >>> present("item", "fused", batch).numpy().tolist()
        [True, True, False]
    """
    there = [
        tf.convert_to_tensor(batch[f"has_{part}_{name}"]) for name in parts_of(modality)
    ]
    return tf.reduce_any(tf.stack(there), axis=0)


def task_rows(task: Task, batch: Batch) -> tf.Tensor:
    """bool `[B]`: the pairs of the task's source and modalities.

    Example:
        >>> batch = {"has_query_text": tf.constant([True, True, True]),
        ...          "has_item_image": tf.constant([True, False, True]),
        ...          "source": tf.constant([0, 0, 2])}
        >>> task_rows(Task("text", "image"), batch).numpy().tolist()
        [True, False, False]
    """
    rows = present("query", task.query, batch) & present("item", task.item, batch)
    if "source" in batch:
        rows &= tf.equal(batch["source"], SOURCES.index(task.source))
    return rows


def item_modalities(tasks: Sequence[Task]) -> tuple[str, ...]:
    """The modalities that items are compared in, each once."""
    return tuple(dict.fromkeys(task.item for task in tasks))


def item_rows(tasks: Sequence[Task], modality: str, batch: Batch) -> tf.Tensor:
    """bool `[B]`: the items that are the positive of any task of their modality."""
    rows = [task_rows(task, batch) for task in tasks if task.item == modality]
    return tf.reduce_any(tf.stack(rows), axis=0)


def negative_rows(tasks: Sequence[Task], modality: str, batch: Batch) -> tf.Tensor:
    """bool `[B]`: the hard negatives that are there and do not answer the query too."""
    there = present("negative", modality, batch) & item_rows(tasks, modality, batch)
    answers = tf.equal(answering_groups(batch), negative_group(batch)[:, None])
    return there & ~tf.reduce_any(answers, axis=1)


def item_group(batch: Batch) -> tf.Tensor:
    """int32 `[B]`: the group of interchangeable items that each positive is of."""
    return tf.cast(batch.get("group", batch["item"]), tf.int32)


def query_group(batch: Batch) -> tf.Tensor:
    """int32 `[B]`: the group of the item that a query is itself, 0 where it is none."""
    return tf.cast(batch.get("query_group", tf.zeros_like(batch["item"])), tf.int32)


def negative_group(batch: Batch) -> tf.Tensor:
    """int32 `[B]`: the group of each hard negative."""
    return tf.cast(batch.get("negative_group", batch["negative"]), tf.int32)


def further_positives(batch: Batch) -> tf.Tensor:
    """int32 `[B, P]`: groups of other items that answer the query; 0 fills."""
    if "positives" not in batch:
        return tf.zeros([tf.shape(batch["item"])[0], 0], tf.int32)
    return tf.cast(batch["positives"], tf.int32)


def answering_groups(batch: Batch) -> tf.Tensor:
    """int32 `[B, 2 + P]`: the groups that are never negatives of a pair.

    They are the item's own, the further positives' and, where the query is an item
    itself (`query_group`), that item's.

    Example:
        >>> batch = {"item": tf.constant([5, 6]), "positives": tf.constant([[7], [0]])}
        >>> answering_groups(batch).numpy().tolist()
        [[5, 7, 0], [6, 0, 0]]
    """
    own, query = item_group(batch)[:, None], query_group(batch)[:, None]
    return tf.concat([own, further_positives(batch), query], axis=1)


def check_batch(batch: Any, tasks: Sequence[Task]) -> None:
    """Raises `TfmmError` if a batch lacks tensors that the tasks read."""
    wanted = {"item", "negative"}
    for task in tasks:
        parts = [f"query_{name}" for name in parts_of(task.query)]
        for name in parts_of(task.item):
            parts += [f"item_{name}", f"negative_{name}"]
        wanted |= {*parts, *(f"has_{part}" for part in parts)}
        if task.source != SOURCES[0]:
            wanted.add("source")
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
