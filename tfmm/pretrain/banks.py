"""The memory banks of a model's tasks, and the momentum copies that fill them."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.memory_bank import MemoryBank
from tfmm.pretrain.momentum import MomentumTower, twin
from tfmm.pretrain.objective import Bank
from tfmm.pretrain.pair_batch import Batch, item_group, item_modalities
from tfmm.pretrain.replicas import gather
from tfmm.pretrain.task import Task
from tfmm.pretrain.towers import encode_wanted, item_towers, wanted_items


def new_banks(
    tasks: Sequence[Task],
    encoders: Mapping[str, Any],
    size: int | None,
    start: int = 0,
) -> tuple[dict[str, MomentumTower], dict[str, MemoryBank]]:
    """Copies of all towers that embed items, and a bank per modality of items.

    Args:
        tasks: The tasks.
        encoders: By modality.
        size: Keys per bank; 0 for neither banks nor copies; `None` if not yet known.
        start: The first step at which a bank counts.

    Raises:
        TfmmError: If `start` is negative.
    """
    if start < 0:
        raise TfmmError(
            "`bank_start` counts steps before the bank's keys count. Received: "
            f"bank_start={start}. Give 0 or more."
        )
    if size == 0:
        return {}, {}
    copies = {name: MomentumTower(twin(encoders[name])) for name in item_towers(tasks)}
    banks = {
        name: MemoryBank(size, encoders[name].dimension)
        for name in item_modalities(tasks)
    }
    return copies, banks


def banks_at(
    banks: Mapping[str, MemoryBank],
    positives: Mapping[str, tf.Tensor],
    start: int,
    step: Any,
) -> dict[str, Bank]:
    """What the losses see; before the step `start` all slots count as empty.

    Args:
        banks: By modality of items; those that have no size yet are left out.
        positives: Of `momentum_keys`.
        start: The first step at which the banks count.
        step: The present step.
    """
    found = {}
    for name, bank in banks.items():
        if bank.built:
            groups = tf.convert_to_tensor(bank.groups)
            groups = tf.where(step >= start, groups, 0) if start else groups
            found[name] = Bank(tf.convert_to_tensor(bank.keys), groups, positives[name])
    return found


def momentum_keys(
    tasks: Sequence[Task],
    copies: Mapping[str, MomentumTower],
    batch: Batch,
    chunk_size: int | None = None,
) -> dict[str, tf.Tensor]:
    """The items of a batch as the momentum copies see them.

    Args:
        tasks: The tasks.
        copies: The momentum copies, by modality; none of them gives nothing.
        batch: The pair batch.
        chunk_size: As of `encode_parts`.

    Returns:
        By modality of items float32 `[B, d]`, zeros in rows without a positive.
    """
    if not copies:
        return {}
    keys = encode_wanted(copies, wanted_items(tasks, batch), batch, chunk_size)
    return {name: tf.stop_gradient(rows) for (name, _), rows in keys.items()}


def follow(
    towers: Mapping[str, Any],
    copies: Mapping[str, MomentumTower],
    momentum: Any,
    moved: tf.Tensor,
) -> None:
    """Moves the momentum copies towards their towers.

    Args:
        towers: The live towers, by modality.
        copies: The momentum copies, by modality.
        momentum: m of this step.
        moved: bool scalar; where False the copies rest.
    """
    momentum = tf.where(moved, tf.cast(momentum, tf.float32), 1.0)
    for name, copy in copies.items():
        copy.update(towers[name], momentum)


def fill(
    tasks: Sequence[Task],
    banks: Mapping[str, MemoryBank],
    keys: Mapping[str, tf.Tensor],
    batch: Batch,
) -> None:
    """Puts the items of the batch (of all replicas) into the banks.

    Args:
        tasks: The tasks.
        banks: By modality of items.
        keys: Of `momentum_keys`.
        batch: The pair batch.
    """
    groups = gather(item_group(batch))
    for (name, _), rows in wanted_items(tasks, batch).items():
        if name in banks:
            banks[name].enqueue(gather(keys[name]), groups, gather(rows))
