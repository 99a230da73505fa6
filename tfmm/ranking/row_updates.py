"""What the row-wise optimizers share: summing repeated ids, refusing what densifies."""

from collections.abc import Mapping
from typing import Any

import keras

from tfmm.errors import TfmmError

_DENSIFYING = {
    "weight_decay": "decay would touch every row of every table in each step",
    "global_clipnorm": "Keras makes every gradient dense to take the norm over all",
    "gradient_accumulation_steps": "accumulators are as large as the tables",
    "use_ema": "averages would touch every row of every table in each step",
    "amsgrad": "the running maximum is defined over dense steps only",
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
                f" Received: {option}={options[option]!r}. Use `clipnorm` or "
                "`clipvalue`, or give the dense weights an optimizer of their own with "
                "keras.optimizers.MultiOptimizer."
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


def raw_variable(variable: Any) -> Any:
    """The backend's own variable.

    Args:
        variable: A `keras.Variable` or a backend variable.
    """
    return variable.value if isinstance(variable, keras.Variable) else variable
