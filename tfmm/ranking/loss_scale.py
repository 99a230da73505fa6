"""Loss scaling for float16 that looks at the rows of a batch, not at whole tables."""

from typing import Any

import keras

from tfmm.ranking.row_updates import is_sparse


@keras.saving.register_keras_serializable(package="tfmm")
class RowLossScale(keras.optimizers.LossScaleOptimizer):
    """Keras's `LossScaleOptimizer` with a check for overflow on the batch's rows alone.

    Keras asks of every gradient whether it is finite, and for that makes a dense one,
    as large as the table, of every sparse one. Everything else is Keras's.

    Args:
        inner_optimizer: The optimizer whose loss is scaled.
        **kwargs: As of `keras.optimizers.LossScaleOptimizer`.

    Example:
        >>> from tfmm.ranking import LazyAdam
        >>> RowLossScale(LazyAdam(0.01)).inner_optimizer.name
        'lazy_adam'
    """

    def check_finite(self, grads: Any) -> Any:
        """Whether every gradient is finite.

        Args:
            grads: Gradients, sparse or dense, or None.

        Returns:
            bool scalar.
        """
        return super().check_finite([g.values if is_sparse(g) else g for g in grads])


def scaled_for(policy: str, optimizer: Any) -> Any:
    """The optimizer, with a scaled loss where the precision asks for that.

    Args:
        policy: Name of the model's dtype policy.
        optimizer: A Keras optimizer, or whatever `keras.optimizers.get` takes.

    Returns:
        A Keras optimizer.

    Example:
        >>> type(scaled_for("mixed_float16", "adam")).__name__
        'RowLossScale'
        >>> type(scaled_for("mixed_bfloat16", "adam")).__name__
        'Adam'
    """
    optimizer = keras.optimizers.get(optimizer)
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if policy != "mixed_float16" or scaled:
        return optimizer
    return RowLossScale(optimizer, name="loss_scale_optimizer")
