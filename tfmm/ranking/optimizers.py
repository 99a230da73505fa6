"""Row-wise Adam and Adagrad: correct for repeated ids, cost by batch, not by table."""

from typing import Any

import keras

from tfmm.ranking.row_updates import (
    is_sparse,
    raw_variable,
    refuse_densifying,
    sum_repeated,
    summed_over_replicas,
)


@keras.saving.register_keras_serializable(package="tfmm")
class LazyAdam(keras.optimizers.Adam):
    """Adam that updates only the embedding rows of the batch.

    For a sparse gradient the parts of a repeated id are summed, the moments of the
    rows in the batch move as in Adam, and all other rows and moments stay as they are;
    the bias correction counts global steps. Dense weights get ordinary Adam. When every
    row is in the batch it equals Adam. On backends without sparse gradients it is Adam.

    Args:
        learning_rate: float or schedule. Defaults to 0.001.
        **kwargs: As of `keras.optimizers.Adam`.

    Raises:
        TfmmError: An option that would make the updates dense (`weight_decay`,
            `global_clipnorm`, `gradient_accumulation_steps`, `use_ema`, `amsgrad`).

    Example:
        >>> LazyAdam(learning_rate=0.01, clipnorm=1.0).name
        'lazy_adam'
    """

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        refuse_densifying("LazyAdam", kwargs)
        kwargs.setdefault("name", "lazy_adam")
        super().__init__(learning_rate=learning_rate, **kwargs)

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        # Before Keras clips: the norm of unsummed parts is another norm.
        return super().apply([sum_repeated(g) for g in grads], trainable_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not is_sparse(gradient):
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        gradient = summed_over_replicas(gradient)
        index = self._get_variable_index(variable)
        mean = raw_variable(self._momentums[index])
        square = raw_variable(self._velocities[index])
        variable = raw_variable(variable)
        ids, rows = gradient.indices, tf.cast(gradient.values, variable.dtype)
        step = tf.cast(self.iterations + 1, variable.dtype)
        rate = tf.cast(learning_rate, variable.dtype)
        rate *= tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))

        mean_rows = mean.sparse_read(ids)
        mean_rows += (rows - mean_rows) * (1 - self.beta_1)
        square_rows = square.sparse_read(ids)
        square_rows += (tf.square(rows) - square_rows) * (1 - self.beta_2)
        mean.scatter_update(tf.IndexedSlices(mean_rows, ids))
        square.scatter_update(tf.IndexedSlices(square_rows, ids))
        change = rate * mean_rows / (tf.sqrt(square_rows) + self.epsilon)
        variable.scatter_sub(tf.IndexedSlices(change, ids))


@keras.saving.register_keras_serializable(package="tfmm")
class SparseAdagrad(keras.optimizers.Adagrad):
    """Adagrad (one accumulator per element) that touches only the rows of the batch.

    For a sparse gradient the parts of a repeated id are summed first. A row that is not
    in the batch has gradient 0 and would not move in Adagrad either, so this equals
    dense Adagrad exactly. On backends without sparse gradients it is Adagrad.

    Args:
        learning_rate: float or schedule. Defaults to 0.001.
        **kwargs: As of `keras.optimizers.Adagrad`.

    Raises:
        TfmmError: An option that would make the updates dense (`weight_decay`,
            `global_clipnorm`, `gradient_accumulation_steps`, `use_ema`).

    Example:
        >>> SparseAdagrad(learning_rate=0.05).name
        'sparse_adagrad'
    """

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        refuse_densifying("SparseAdagrad", kwargs)
        kwargs.setdefault("name", "sparse_adagrad")
        super().__init__(learning_rate=learning_rate, **kwargs)

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        # Before Keras clips: the norm of unsummed parts is another norm.
        return super().apply([sum_repeated(g) for g in grads], trainable_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not is_sparse(gradient):
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        gradient = summed_over_replicas(gradient)
        total = raw_variable(self._accumulators[self._get_variable_index(variable)])
        variable = raw_variable(variable)
        ids, rows = gradient.indices, tf.cast(gradient.values, variable.dtype)
        rate = tf.cast(learning_rate, variable.dtype)
        total_rows = total.sparse_read(ids) + tf.square(rows)
        total.scatter_update(tf.IndexedSlices(total_rows, ids))
        change = rate * rows / tf.sqrt(total_rows + self.epsilon)
        variable.scatter_sub(tf.IndexedSlices(change, ids))


def ranking_optimizer(learning_rate: Any = 0.001) -> LazyAdam:
    """The default of `RankingModel` and `MAKE`: lazy Adam for rows, Adam for the rest.

    Args:
        learning_rate: float or schedule. Defaults to 0.001.

    Returns:
        A new `LazyAdam`.

    Example:
        >>> ranking_optimizer(0.01).name
        'lazy_adam'
    """
    return LazyAdam(learning_rate=learning_rate)
