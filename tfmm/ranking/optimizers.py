"""Row-wise Adam and Adagrad: correct for repeated ids, cost by batch, not by table."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.ranking.rates import EMBEDDINGS, is_table
from tfmm.ranking.row_updates import adagrad_rows, adam_rows
from tfmm.ranking.row_wise import RowWise


@keras.saving.register_keras_serializable(package="tfmm")
class LazyAdam(RowWise, keras.optimizers.Adam):
    """Adam that updates only the embedding rows of the batch.

    For a sparse gradient the parts of a repeated id are summed, the moments of the
    rows in the batch move as in Adam, and all other rows and moments stay as they are;
    the bias correction counts global steps (`torch.optim.SparseAdam` does the same).
    Dense weights get ordinary Adam, with `weight_decay` AdamW. When every row is in the
    batch it equals Adam. On backends without sparse gradients it is Adam.

    Args:
        learning_rate: float or schedule. Defaults to 0.001.
        rates: From `"embeddings"` or a layer's name to a multiple of the rate.
        **kwargs: As of `keras.optimizers.Adam`; `weight_decay` spares the tables.

    Raises:
        TfmmError: Wrong `rates`, or an option that would make the updates dense
            (`gradient_accumulation_steps`, `use_ema`, `amsgrad`, `loss_scale_factor`).

    Example:
        >>> LazyAdam(2e-4, rates={"embeddings": 10.0}, weight_decay=0.01).name
        'lazy_adam'
    """

    default_name = "lazy_adam"

    def row_slots(self, index: int) -> list[Any]:
        return [self._momentums[index], self._velocities[index]]

    def update_rows(self, slots: list[Any], ids: Any, rows: Any, rate: Any) -> Any:
        import tensorflow as tf

        step = tf.cast(self.iterations + 1, rows.dtype)
        rate *= tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))
        mean, square = adam_rows(slots, ids, rows, (self.beta_1, self.beta_2))
        return rate * mean / (tf.sqrt(square) + self.epsilon)


@keras.saving.register_keras_serializable(package="tfmm")
class SparseAdagrad(RowWise, keras.optimizers.Adagrad):
    """Adagrad (one accumulator per element) that touches only the rows of the batch.

    For a sparse gradient the parts of a repeated id are summed first. A row that is not
    in the batch has gradient 0 and would not move in Adagrad either, so this equals
    dense Adagrad exactly. On backends without sparse gradients it is Adagrad.

    Args:
        learning_rate: float or schedule. Defaults to 0.001.
        rates: From `"embeddings"` or a layer's name to a multiple of the rate.
        **kwargs: As of `keras.optimizers.Adagrad`; `weight_decay` spares the tables.

    Raises:
        TfmmError: Wrong `rates`, or an option that would make the updates dense
            (`gradient_accumulation_steps`, `use_ema`, `loss_scale_factor`).

    Example:
        >>> SparseAdagrad(learning_rate=0.05).name
        'sparse_adagrad'
    """

    default_name = "sparse_adagrad"

    def row_slots(self, index: int) -> list[Any]:
        return [self._accumulators[index]]

    def update_rows(self, slots: list[Any], ids: Any, rows: Any, rate: Any) -> Any:
        return adagrad_rows(slots[0], ids, rows, rate, self.epsilon)


@keras.saving.register_keras_serializable(package="tfmm")
class AdamAdagrad(LazyAdam):
    """Adam for dense weights, `SparseAdagrad`'s rule for embedding tables.

    Adagrad's one slot halves the tables' optimizer memory, and rare ids keep their
    large steps. Its rates are larger than Adam's: give tables a multiple. A sparse
    gradient of anything else gets lazy Adam.

    Args:
        learning_rate: float or schedule, of the dense weights. Defaults to 0.001.
        initial_accumulator_value: float, Adagrad's. Defaults to 0.1.
        **kwargs: As of `LazyAdam`.

    Raises:
        TfmmError: As of `LazyAdam`.

    Example:
        >>> AdamAdagrad(1e-3, rates={"embeddings": 50.0}).name
        'adam_adagrad'
    """

    default_name = "adam_adagrad"

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value

    def build(self, variables: Sequence[Any]) -> None:
        """Creates an accumulator for each table, two moments for each other one."""
        if self.built:
            return
        super().build(variables)
        start = keras.initializers.Constant(self.initial_accumulator_value)
        self._accumulators = [
            self.add_variable_from_reference(variable, "accumulator", start)
            if is_table(variable)
            else None
            for variable in variables
        ]

    def add_variable_from_reference(
        self,
        reference_variable: Any,
        name: str | None = None,
        initializer: Any = "zeros",
    ) -> Any:
        """A slot; none for the moments of a table."""
        if name in ("momentum", "velocity") and is_table(reference_variable):
            return None
        return super().add_variable_from_reference(
            reference_variable, name=name, initializer=initializer
        )

    def row_slots(self, index: int) -> list[Any]:
        total = self._accumulators[index]
        return super().row_slots(index) if total is None else [total]

    def update_rows(self, slots: list[Any], ids: Any, rows: Any, rate: Any) -> Any:
        if len(slots) > 1:
            return super().update_rows(slots, ids, rows, rate)
        return adagrad_rows(slots[0], ids, rows, rate, self.epsilon)

    def update_dense(self, index: int, gradient: Any, variable: Any, rate: Any) -> None:
        """Adam, or for a table (JAX; a regulariser) the whole table's Adagrad."""
        total = self._accumulators[index]
        if total is None:
            super().update_dense(index, gradient, variable, rate)
            return
        gradient = ops.cast(gradient, variable.dtype)
        step = ops.multiply(ops.cast(rate, variable.dtype), gradient)
        self.assign_add(total, ops.square(gradient))
        root = ops.sqrt(ops.add(total, self.epsilon))
        self.assign_sub(variable, ops.divide(step, root))

    def get_config(self) -> dict[str, Any]:
        start = self.initial_accumulator_value
        return {**super().get_config(), "initial_accumulator_value": start}


_ROWS = {"adam": LazyAdam, "adagrad": AdamAdagrad}


def ranking_optimizer(
    learning_rate: Any = 0.001,
    embedding_rate: float | None = None,
    rows: str = "adam",
    **options: Any,
) -> LazyAdam:
    """The default of `RankingModel` and `MAKE`: Adam that moves the batch's rows.

    Args:
        learning_rate: float or schedule. Defaults to 0.001.
        embedding_rate: float, the tables' own rate; it follows `learning_rate` when a
            callback changes that. Defaults to `learning_rate`.
        rows: How tables learn: `"adam"` (`LazyAdam`) or `"adagrad"` (`AdamAdagrad`).
        **options: As of `LazyAdam`: `weight_decay`, `clipnorm`, `rates`, ...

    Returns:
        A new optimizer.

    Raises:
        TfmmError: An unknown rule for rows, or an `embedding_rate` beside a schedule.

    Example:
        The settings of MUSE (arXiv 2512.07216): AdamW for dense weights, lazy Adam at
        ten times their rate for embeddings.

        >>> optimizer = ranking_optimizer(2e-4, 2e-3, weight_decay=0.01)
        >>> round(optimizer.rates["embeddings"], 6)
        10.0
    """
    if rows not in _ROWS:
        raise TfmmError(
            f"Tables learn by one of {', '.join(_ROWS)}. Received: rows={rows!r}."
        )
    if embedding_rate is not None:
        rates = dict(options.pop("rates", None) or {})
        rates[EMBEDDINGS] = _multiple(learning_rate, embedding_rate)
        options["rates"] = rates
    return _ROWS[rows](learning_rate, **options)


def _multiple(learning_rate: Any, embedding_rate: float) -> float:
    if isinstance(learning_rate, int | float) and learning_rate > 0:
        return embedding_rate / learning_rate
    raise TfmmError(
        "A rate for embeddings needs a plain number as the learning rate. Received: "
        f"learning_rate={learning_rate!r}, embedding_rate={embedding_rate!r}. With a "
        'schedule say how many times faster: rates={"embeddings": 10.0}.'
    )
