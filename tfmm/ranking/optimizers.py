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


class RowWise:
    """What row-wise optimizers share, to be mixed into a Keras optimizer.

    A subclass says in `update_rows` how the rows of a batch move; dense gradients go to
    the Keras optimizer as they are.
    """

    default_name: str

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        refuse_densifying(type(self).__name__, kwargs)
        kwargs.setdefault("name", self.default_name)
        super().__init__(  # type: ignore[call-arg]
            learning_rate=learning_rate, **kwargs
        )

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        # Before Keras clips: the norm of unsummed parts is another norm.
        return super().apply(  # type: ignore[misc]
            [sum_repeated(g) for g in grads], trainable_variables
        )

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not is_sparse(gradient):
            super().update_step(  # type: ignore[misc]
                gradient, variable, learning_rate
            )
            return
        import tensorflow as tf

        gradient = summed_over_replicas(gradient)
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        table = raw_variable(variable)
        rows = tf.cast(gradient.values, table.dtype)
        rate = tf.cast(learning_rate, table.dtype)
        change = self.update_rows(index, gradient.indices, rows, rate)
        table.scatter_sub(tf.IndexedSlices(change, gradient.indices))

    def update_rows(self, index: int, ids: Any, rows: Any, rate: Any) -> Any:
        """Moves the slots of the batch's rows.

        Args:
            index: Which variable, as Keras numbers the slots.
            ids: int `[n]`, distinct row numbers.
            rows: float `[n, d]`, the rows' summed gradients.
            rate: float scalar.

        Returns:
            float `[n, d]`, what to subtract from the variable's rows.
        """
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="tfmm")
class LazyAdam(RowWise, keras.optimizers.Adam):
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

    default_name = "lazy_adam"

    def update_rows(self, index: int, ids: Any, rows: Any, rate: Any) -> Any:
        import tensorflow as tf

        mean = raw_variable(self._momentums[index])
        square = raw_variable(self._velocities[index])
        step = tf.cast(self.iterations + 1, rows.dtype)
        rate *= tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))
        mean_rows = mean.sparse_read(ids)
        mean_rows += (rows - mean_rows) * (1 - self.beta_1)
        square_rows = square.sparse_read(ids)
        square_rows += (tf.square(rows) - square_rows) * (1 - self.beta_2)
        mean.scatter_update(tf.IndexedSlices(mean_rows, ids))
        square.scatter_update(tf.IndexedSlices(square_rows, ids))
        return rate * mean_rows / (tf.sqrt(square_rows) + self.epsilon)


@keras.saving.register_keras_serializable(package="tfmm")
class SparseAdagrad(RowWise, keras.optimizers.Adagrad):
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

    default_name = "sparse_adagrad"

    def update_rows(self, index: int, ids: Any, rows: Any, rate: Any) -> Any:
        import tensorflow as tf

        total = raw_variable(self._accumulators[index])
        total_rows = total.sparse_read(ids) + tf.square(rows)
        total.scatter_update(tf.IndexedSlices(total_rows, ids))
        return rate * rows / tf.sqrt(total_rows + self.epsilon)


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
