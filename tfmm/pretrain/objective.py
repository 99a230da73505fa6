"""The loss of one task over a pair batch and a memory bank."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.losses import bank_nce, info_nce, triplet
from tfmm.pretrain.pair_batch import (
    Batch,
    answering_groups,
    further_positives,
    item_group,
    item_rows,
    negative_rows,
    query_group,
    task_rows,
)
from tfmm.pretrain.replicas import first, gather, total
from tfmm.pretrain.streaming import any_equal
from tfmm.pretrain.task import Task


class Bank(NamedTuple):
    """What the momentum copy has encoded.

    Args:
        keys: float32 `[K, d]`, items of past steps.
        groups: int32 `[K]`, their groups; 0 where a slot does not count.
        positives: float32 `[B, d]`, the items of this batch.
    """

    keys: tf.Tensor
    groups: tf.Tensor
    positives: tf.Tensor


@dataclass(frozen=True)
class Objective:
    """What each pair is to minimise (eq. 1), with the query `q` and its item `k+`:

    `-log(exp(q . k+ / tau) / (exp(q . k+ / tau) + sum_batch exp(q . k_i / tau)))
    -log(exp(q . k+' / tau) / (exp(q . k+' / tau) + sum_bank exp(q . k_j / tau)))
    + triplet_weight * max(0, margin + q . k_neg - q . k_pos)`

    Each sum compares keys of one tower: those of the batch (of all replicas) are the
    live tower's, those of the bank its momentum copy's, and so is `k+'`, the positive
    as the copy sees it. One sum over both (`bank_positive="live"`) has a way out:
    queries and live keys move away from everything old, together, which pays the more
    the larger the bank, until all are one point.

    Items that answer the query too (of the group of its item, or of a further
    positive's) are no negatives, nor are empty slots and items that lack the modality.
    Further positives in the batch are positives: the first term is its mean over them.

    Args:
        margin: Of the triplet term, a cosine.
        triplet_weight: 0 leaves the triplet term out. InfoNCE's gradient is 1 / tau
            times as steep as the hinge's, hence weights of about that size.
        bank_positive: `"momentum"`, as above, or `"live"`: one sum over batch and bank.
        symmetric: Whether the first term is the mean of both directions, the other one
            being each item against the queries of the batch.
        chunk_size: As of `info_nce`.
    """

    margin: float = 0.1
    triplet_weight: float = 10.0
    bank_positive: Literal["momentum", "live"] = "momentum"
    symmetric: bool = False
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        if self.bank_positive not in ("momentum", "live"):
            raise TfmmError(
                "`bank_positive` says which tower encodes the positive that the bank's "
                f"keys are compared with. Received: {self.bank_positive!r}. Use "
                "'momentum' or 'live'."
            )
        if self.chunk_size is not None and self.chunk_size < 1:
            raise TfmmError(
                "`chunk_size` counts the rows that are worked on at once. Received: "
                f"chunk_size={self.chunk_size}. Give at least 1, or None for all."
            )

    def losses(
        self,
        task: Task,
        tasks: Sequence[Task],
        batch: Batch,
        vectors: Batch,
        temperature: tf.Tensor | float,
        bank: Bank | None = None,
    ) -> tf.Tensor:
        """float32 `[B]`, meaningless where a pair does not belong to the task.

        Args:
            task: The task.
            tasks: All tasks, which decide what items were encoded.
            batch: The pair batch.
            vectors: What `SCL` gives for it.
            temperature: tau.
            bank: What the momentum copy has encoded, or `None`.
        """
        query, item = vectors[f"{task.name}_query"], vectors[f"{task.item}_item"]
        old: Batch = {}
        if bank is not None:
            old = {
                "bank": bank.keys,
                "bank_groups": bank.groups,
                "groups": answering_groups(batch),
            }
        joint = self.bank_positive == "live"
        losses = info_nce(
            query,
            gather(item),
            temperature,
            positive=_own_places(batch),
            chunk_size=self.chunk_size,
            **_roles_of_items(batch, item_rows(tasks, task.item, batch)),
            **(old if joint else {}),
        )
        if self.symmetric:
            backward = info_nce(
                item,
                gather(query),
                temperature,
                positive=_own_places(batch),
                chunk_size=self.chunk_size,
                **_roles_of_queries(batch, task_rows(task, batch)),
            )
            losses = (losses + backward) / 2.0
        if bank is not None and not joint:
            losses += bank_nce(
                query,
                bank.positives,
                temperature,
                chunk_size=self.chunk_size,
                **old,
            )
        if self.triplet_weight:
            hard = negative_rows(tasks, task.item, batch)
            negative = vectors[f"{task.item}_negative"]
            hinge = triplet(query, item, negative, self.margin, hard)
            losses += self.triplet_weight * hinge
        return losses


def share_of_mean(losses: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """This replica's part of the mean over the rows of all replicas that are True.

    The parts add up to the mean, and so do their gradients, which optimizers sum.

    Example:
        >>> rows = tf.constant([True, True, False])
        >>> float(share_of_mean(tf.constant([2.0, 5.0, 9.0]), rows))
        3.5
    """
    count = total(tf.reduce_sum(tf.cast(rows, tf.float32)))
    return tf.reduce_sum(tf.where(rows, losses, 0.0)) / tf.maximum(count, 1.0)


def _own_places(batch: Batch) -> tf.Tensor:
    return first(batch["item"]) + tf.range(tf.shape(batch["item"])[0])


def _roles_of_items(batch: Batch, there: tf.Tensor) -> Batch:
    """bool `[B, M]` each: which items are negatives, which further positives."""
    groups, there = gather(item_group(batch)), gather(there)[None, :]
    own = tf.equal(item_group(batch)[:, None], groups[None, :])
    itself = tf.equal(query_group(batch)[:, None], groups[None, :])
    answers = any_equal(further_positives(batch), groups)
    return {
        "mask": there & ~own & ~answers & ~itself,
        "further": there & ~own & answers,
    }


def _roles_of_queries(batch: Batch, there: tf.Tensor) -> Batch:
    """The same of the queries for each item; those of its group are neither."""
    group, there = item_group(batch), gather(there)[None, :]
    own = tf.equal(group[:, None], gather(group)[None, :])
    itself = tf.equal(group[:, None], gather(query_group(batch))[None, :])
    answers = tf.transpose(any_equal(gather(further_positives(batch)), group))
    return {
        "mask": there & ~own & ~answers & ~itself,
        "further": there & ~own & answers,
    }
