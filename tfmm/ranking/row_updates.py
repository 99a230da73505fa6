"""What the row-wise optimizers share: summing repeated ids, refusing what densifies."""

from collections.abc import Mapping
from typing import Any

import keras

from tfmm.errors import TfmmError

_DENSIFYING = {
    "gradient_accumulation_steps": "accumulators are as large as the tables, and Keras "
    "adds them up and clears them as a whole in each step",
    "use_ema": "averages would touch every row of every table in each step",
    "amsgrad": "the running maximum is defined over dense steps only",
    "loss_scale_factor": "Keras cannot divide a sparse gradient by it",
}
_INSTEAD = {
    "gradient_accumulation_steps": "Use a larger batch, or more steps of this one at a "
    "lower rate.",
    "use_ema": "Decay the learning rate to 0 instead, which averages as well: "
    "keras.optimizers.schedules.CosineDecay.",
    "amsgrad": "Leave it out.",
    "loss_scale_factor": "Wrap the optimizer in tfmm.ranking.RowLossScale.",
}


def refuse_densifying(optimizer: str, options: Mapping[str, Any]) -> None:
    """Refuses the options that would turn row-wise updates into whole-table ones.

    Args:
        optimizer: Name of the optimizer, for the message.
        options: Its constructor's keyword arguments.

    Raises:
        TfmmError: One of them is switched on.

    Example:
        >>> refuse_densifying("LazyAdam", {"weight_decay": None, "clipnorm": 1.0})
    """
    for option, reason in _DENSIFYING.items():
        if options.get(option):
            raise TfmmError(
                f"{optimizer} cannot keep its updates sparse with `{option}`: {reason}."
                f" Received: {option}={options[option]!r}. {_INSTEAD[option]}"
            )


def is_sparse(gradient: Any) -> bool:
    """Whether a gradient holds rows (`tf.IndexedSlices`) instead of a whole table.

    Example:
        >>> is_sparse(keras.ops.ones((2, 2)))
        False
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return isinstance(gradient, tf.IndexedSlices)


def sum_repeated(gradient: Any) -> Any:
    """Sums the gradient rows of ids that occur several times; dense ones pass.

    Keras 3 squares (and so on) the parts of such a gradient one by one, which gives a
    wrong step in every non-linear optimizer.

    Args:
        gradient: `tf.IndexedSlices`, or anything dense.

    Returns:
        `tf.IndexedSlices` with distinct ids, or the dense gradient itself.

    Example:
        >>> import tensorflow as tf
        >>> rows = tf.IndexedSlices(tf.ones([3, 1]), tf.constant([4, 7, 4]))
        >>> unique = sum_repeated(rows)
        >>> unique.indices.numpy().tolist(), unique.values.numpy().tolist()
        ([4, 7], [[2.0], [1.0]])
    """
    if not is_sparse(gradient):
        return gradient
    import tensorflow as tf

    ids, position = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, position, tf.shape(ids)[0])
    return tf.IndexedSlices(values, ids, gradient.dense_shape)


def summed_over_replicas(gradient: Any) -> Any:
    """`sum_repeated` again where the replicas' rows were put one behind the other.

    Args:
        gradient: `tf.IndexedSlices` as an optimizer's `update_step` gets it.

    Returns:
        `tf.IndexedSlices` with distinct ids.
    """
    import tensorflow as tf

    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return sum_repeated(gradient) if several else gradient


def slot_of(slot: Any, variable: Any) -> Any:
    """The backend's variable of a slot, on the device of the variable updated.

    Args:
        slot: A `keras.Variable` of the optimizer, mirrored or not.
        variable: The `tf.Variable` that `update_step` gets.
    """
    import tensorflow as tf

    copies = tf.distribute.get_strategy().experimental_local_results(slot.value)
    same = [copy for copy in copies if copy.device == variable.device]
    return (same or copies)[0]


def adam_rows(
    slots: list[Any], ids: Any, rows: Any, betas: tuple[float, float]
) -> tuple[Any, Any]:
    """Moves the two moments of some rows; all other rows of them stay.

    Args:
        slots: `tf.Variable`s `[V, d]`: mean and mean square.
        ids: int `[n]`, distinct row numbers.
        rows: float `[n, d]`, the rows' summed gradients.
        betas: Adam's beta 1 and beta 2.

    Returns:
        float `[n, d]` twice, the moments' new rows.
    """
    return (
        _moved(slots[0], ids, rows, 1 - betas[0]),
        _moved(slots[1], ids, keras.ops.square(rows), 1 - betas[1]),
    )


def adagrad_rows(total: Any, ids: Any, rows: Any, rate: Any, epsilon: float) -> Any:
    """Adds squares to some rows of an accumulator; all other rows of it stay.

    Args:
        total: `tf.Variable` `[V, d]`, the accumulator.
        ids: int `[n]`, distinct row numbers.
        rows: float `[n, d]`, the rows' summed gradients.
        rate: float scalar.
        epsilon: float, added under the root.

    Returns:
        float `[n, d]`, the step of Adagrad.
    """
    import tensorflow as tf

    total_rows = total.sparse_read(ids) + tf.square(rows)
    total.scatter_update(tf.IndexedSlices(total_rows, ids))
    return rate * rows / tf.sqrt(total_rows + epsilon)


def _moved(slot: Any, ids: Any, towards: Any, share: float) -> Any:
    import tensorflow as tf

    rows = slot.sparse_read(ids)
    rows += (towards - rows) * share
    slot.scatter_update(tf.IndexedSlices(rows, ids))
    return rows
