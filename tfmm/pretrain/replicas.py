"""What replicas of a distribution strategy tell each other within a training step.

With one replica, and outside any strategy, every function is the identity.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfmm.errors import TfmmError


def count() -> int:
    """How many replicas step together."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def check_accumulation(model: Any) -> None:
    """Raises `TfmmError` if gradients are to be accumulated on several replicas."""
    number = model.distribute_strategy.num_replicas_in_sync
    optimizer = getattr(model, "optimizer", None)
    # A loss scale wraps the optimizer that accumulates.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    steps = getattr(inner, "gradient_accumulation_steps", None)
    if number > 1 and steps:
        raise TfmmError(
            "Keras cannot accumulate gradients on several replicas. Received: "
            f"gradient_accumulation_steps={steps} on {number} replicas. Leave it out "
            "and set `chunk_size`, which fits a larger batch into the same memory."
        )


def gather(rows: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, in the order of the replicas.

    Differentiable: the gradient of a row is the sum of what all replicas made of it.
    Every replica has to call it, as often and in the same order.

    Args:
        rows: `[B, ...]`, this replica's; B may differ from replica to replica.

    Returns:
        `[sum of B, ...]`, the same on every replica.

    Example:
        >>> gather(tf.constant([1, 2])).numpy().tolist()
        [1, 2]
    """
    if count() == 1:
        return rows
    context = tf.distribute.get_replica_context()
    if rows.dtype == tf.bool:
        return tf.cast(context.all_gather(tf.cast(rows, tf.int32), axis=0), tf.bool)
    gathered = context.all_gather(rows, axis=0)
    return tf.ensure_shape(gathered, [None, *rows.shape[1:]])


def total(value: tf.Tensor) -> tf.Tensor:
    """The sum of `value` over all replicas; differentiable.

    Example:
        >>> float(total(tf.constant(3.0)))
        3.0
    """
    if count() == 1:
        return value
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def first(rows: tf.Tensor) -> tf.Tensor:
    """The place in `gather(rows)` of this replica's first row, an int32 scalar.

    Example:
        >>> int(first(tf.constant([1, 2])))
        0
    """
    if count() == 1:
        return tf.constant(0)
    context = tf.distribute.get_replica_context()
    sizes = context.all_gather(tf.shape(rows)[:1], axis=0)
    mine = context.replica_id_in_sync_group
    return tf.reduce_sum(tf.where(tf.range(tf.size(sizes)) < mine, sizes, 0))


def change(
    function: Callable[..., Any],
    variables: Sequence[Any],
    *values: Sequence[Any],
) -> None:
    """Calls `function(variable, *value)` for each variable, on every replica.

    Inside a strategy a plain `assign` of such a variable is refused, and an in-place
    write would miss the copies of the other replicas. Values must be the same on all
    replicas; then the copies stay the same.

    Args:
        function: Takes this replica's `tf.Variable`, then one entry of each of
            `values`; changes the variable.
        variables: Keras variables.
        *values: Per variable, what the function takes beside it: tensors, or Keras
            variables.
    """
    own = [variable.value for variable in variables]
    rest = [[getattr(value, "value", value) for value in row] for row in values]
    if count() == 1:
        for variable, *row in zip(own, *rest, strict=True):
            function(variable, *row)
        return

    def everywhere(strategy: Any, *columns: Any) -> None:
        for variable, *row in zip(own, *columns, strict=True):
            strategy.extended.update(variable, function, args=tuple(row), group=False)

    tf.distribute.get_replica_context().merge_call(everywhere, args=tuple(rest))
