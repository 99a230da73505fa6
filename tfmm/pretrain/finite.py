"""Training that meets a NaN stops, before any weight has changed."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain import replicas

_MARK = "Training stopped"
# Variables and what they held before a forward pass.
States = Sequence[tuple[Any, tf.Tensor]]


def moving_state(towers: Iterable[Any]) -> States:
    """What a forward pass in training changes: running statistics, random states.

    Of several replicas nothing: their variables cannot be put back one by one.

    Args:
        towers: Keras models.
    """
    if replicas.count() > 1:
        return []
    # Frozen weights were once trainable, and rest.
    return [
        (variable, tf.identity(variable.value))
        for tower in towers
        for variable in tower.non_trainable_variables
        if not variable.value.trainable
    ]


def may_overflow(optimizer: Any) -> tf.Tensor | bool:
    """Whether gradients may be infinite: a scaled loss overflows now and then.

    Its optimizer leaves that step out and halves the scale. With a scale below 1 it is
    no longer the scale that makes them so.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return tf.convert_to_tensor(optimizer.dynamic_scale) >= 1.0
    return False


def require_finite(
    losses: Mapping[str, tf.Tensor],
    gradients: Sequence[Any],
    batch: Mapping[str, tf.Tensor],
    weights: Sequence[Any],
    step: Any,
    before: States = (),
    overflow: tf.Tensor | bool = False,
) -> tf.Tensor:
    """Raises within the graph if a loss or a gradient is NaN or infinite.

    What is to wait for the verdict goes below `tf.control_dependencies([verdict])`.
    The cause is looked for only after the fact; a sound step pays one sum per gradient.

    Args:
        losses: By task, a scalar.
        gradients: Dense, `tf.IndexedSlices` or `None`.
        batch: The pair batch.
        weights: The trained variables.
        step: The optimizer's steps so far.
        before: Of `moving_state`; put back when the step is refused.
        overflow: Of `may_overflow`: whether gradients are left alone.

    Returns:
        A bool scalar, the verdict.

    Example:
        >>> loss = {"image": tf.constant(float("nan"))}
        >>> with named_causes():  # doctest: +ELLIPSIS
        ...     require_finite(loss, [], {}, [], 3)
        Traceback (most recent call last):
        ...
        tfmm.errors.TfmmError: Training stopped in batch 4 (...
    """
    sums = [tf.reduce_sum(_dense(g)) for g in gradients if g is not None]

    def refuse() -> tf.Tensor:
        message = _message(losses, batch, weights, step)
        back = [variable.value.assign(value) for variable, value in before]
        with tf.control_dependencies(back):
            tf.raw_ops.Assert(condition=False, data=[message], summarize=100)
        return tf.constant(False)

    finite = _all_finite(losses.values()) & (_all_finite(sums) | overflow)
    return tf.cond(finite, lambda: tf.constant(True), refuse)


@contextmanager
def named_causes() -> Iterator[None]:
    """Gives what `require_finite` raises within a graph as a `TfmmError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(rf"assertion failed: \[({_MARK}[^\]]*)\]", error.message)
        if found is None:
            raise
        raise TfmmError(found[1]) from None


def _message(
    losses: Mapping[str, tf.Tensor],
    batch: Mapping[str, tf.Tensor],
    weights: Sequence[Any],
    step: Any,
) -> tf.Tensor:
    inputs = {
        name: value
        for name, value in batch.items()
        if tf.convert_to_tensor(value).dtype.is_floating
    }
    broken = [_is_broken(tf.convert_to_tensor(weight)) for weight in weights]
    count = tf.reduce_sum(tf.cast(tf.stack([False, *broken]), tf.int32))
    return tf.strings.join(
        [
            f"{_MARK} in batch ",
            tf.strings.as_string(tf.cast(step, tf.int64) + 1),
            " (optimizer steps since the first), whose loss or gradient is not finite; "
            "the weights are those from before it. Received: losses not finite: ",
            _names_of_broken(losses),
            "; inputs not finite: ",
            _names_of_broken(inputs),
            "; weights not finite before the step: ",
            tf.strings.as_string(count),
            f" of {len(weights)}. Mend the inputs if they are to blame; otherwise "
            "lower the learning rate, clip gradients (`global_clipnorm=`) or train in "
            "float32, from the last checkpoint if weights are not finite.",
        ]
    )


def _all_finite(scalars: Iterable[tf.Tensor]) -> tf.Tensor:
    values = [tf.constant(0.0), *(tf.cast(x, tf.float32) for x in scalars)]
    return tf.reduce_all(tf.math.is_finite(tf.stack(values)))


def _names_of_broken(tensors: Mapping[str, tf.Tensor]) -> tf.Tensor:
    if not tensors:
        return tf.constant("none")
    broken = tf.stack([_is_broken(tensor) for tensor in tensors.values()])
    names = tf.boolean_mask(tf.constant(list(tensors)), broken)
    text = tf.strings.reduce_join(names, separator=" ")
    return tf.where(tf.reduce_any(broken), text, "none")


def _is_broken(tensor: tf.Tensor) -> tf.Tensor:
    return ~tf.reduce_all(tf.math.is_finite(tf.cast(tensor, tf.float32)))


def _dense(gradient: Any) -> tf.Tensor:
    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
    return tf.cast(values, tf.float32)
