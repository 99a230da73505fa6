"""The loss of one task over a pair batch and a memory bank."""

from collections.abc import Sequence

import tensorflow as tf

from tfmm.pretrain.losses import info_nce, triplet
from tfmm.pretrain.memory_bank import MemoryBank
from tfmm.pretrain.pair_batch import Batch, item_rows, negative_rows
from tfmm.pretrain.task import Task


def pair_losses(
    task: Task,
    tasks: Sequence[Task],
    batch: Batch,
    vectors: Batch,
    bank: MemoryBank | None,
    temperature: tf.Tensor | float,
    margin: float,
    triplet_weight: float,
) -> tf.Tensor:
    """`InfoNCE + triplet_weight * triplet` of each pair (eq. 1).

    Items of the positive's catalog row, in the batch or the bank, are no negatives of
    it, nor are empty slots and items that lack the modality.

    Args:
        task: The task.
        tasks: All tasks, which decide what items were encoded.
        batch: The pair batch.
        vectors: What `SCL` gives for it.
        bank: Keys of past steps, or `None`.
        temperature: tau.
        margin: Of the triplet term.
        triplet_weight: 0 leaves the triplet term out.

    Returns:
        float32 `[B]`; meaningless where a pair does not belong to the task.
    """
    query, item = vectors[f"{task.name}_query"], vectors[f"{task.item}_item"]
    items = tf.cast(batch["item"], tf.int32)[:, None]
    present = item_rows(tasks, task.item, batch)
    further = {}
    if bank is not None:
        further["bank"] = bank.keys.value
        further["bank_mask"] = bank.occupied() & (items != bank.items[None, :])
    mask = present & (items != tf.transpose(items))
    losses = info_nce(query, item, temperature, mask=mask, **further)
    if not triplet_weight:
        return losses
    hard = negative_rows(tasks, task.item, batch)
    negative = vectors[f"{task.item}_negative"]
    return losses + triplet_weight * triplet(query, item, negative, margin, hard)
