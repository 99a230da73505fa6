"""What row-wise optimizers share, whatever their rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfmm.ranking.rates import checked_rates, is_table, multiples
from tfmm.ranking.row_updates import (
    is_sparse,
    refuse_densifying,
    slot_of,
    sum_repeated,
    summed_over_replicas,
)


class RowWise:
    """Sums repeated ids and moves only the rows of the batch: a mixin.

    A subclass says in `update_rows` how the rows of a batch move; dense gradients go to
    the Keras optimizer as they are. Options are the Keras optimizer's, and:

    * `rates` gives parts of the model a multiple of the learning rate, schedule or not;
    * `weight_decay` is decoupled, `w <- w - rate decay w`, and for dense weights alone:
      tables are left out, since each step would touch all their rows;
    * `clipnorm`, `clipvalue` and `global_clipnorm` see the summed rows.

    Args:
        learning_rate: float or schedule. Defaults to 0.001.
        rates: From `"embeddings"` (every table of `tfmm.layers.Embedding` and
            `keras.layers.Embedding`) or the name of a layer to its multiple, 0 or more.
            The innermost layer named counts, then `"embeddings"`.
        **kwargs: As of the Keras optimizer.

    Raises:
        TfmmError: A multiple is negative, or (once the variables are known) a part has
            nothing to train; an option would make the updates dense.
    """

    default_name: str

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rates: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_densifying(type(self).__name__, kwargs)
        kwargs.setdefault("name", self.default_name)
        super().__init__(  # type: ignore[call-arg]
            learning_rate=learning_rate, **kwargs
        )
        self.rates = checked_rates(rates)

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the slots and finds every variable's multiple."""
        self._multiples = multiples(variables, self.rates)
        self._tables = [is_table(variable) for variable in variables]
        super().build(variables)  # type: ignore[misc]

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        # Before Keras clips: the norm of unsummed parts is another norm.
        return super().apply(  # type: ignore[misc]
            [sum_repeated(g) for g in grads], trainable_variables
        )

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's decay and step, at its own rate."""
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        rate = ops.multiply(learning_rate, self._multiples[index])
        if is_sparse(gradient):
            self._update_table(index, gradient, variable, rate)
            return
        if self._decays(index, variable):
            decay = ops.cast(
                rate * self.weight_decay,  # type: ignore[attr-defined]
                variable.dtype,
            )
            self.assign_sub(  # type: ignore[attr-defined]
                variable, ops.multiply(variable, decay)
            )
        self.update_dense(index, gradient, variable, rate)

    def _decays(self, index: int, variable: Any) -> bool:
        return (
            bool(self.weight_decay)  # type: ignore[attr-defined]
            and not self._tables[index]
            and self._use_weight_decay(variable)  # type: ignore[attr-defined]
        )

    def _update_table(
        self, index: int, gradient: Any, variable: Any, rate: Any
    ) -> None:
        import tensorflow as tf

        gradient = summed_over_replicas(gradient)
        rows = tf.cast(gradient.values, variable.dtype)
        rate = tf.cast(rate, variable.dtype)
        slots = [slot_of(slot, variable) for slot in self.row_slots(index)]
        change = self.update_rows(slots, gradient.indices, rows, rate)
        variable.scatter_sub(tf.IndexedSlices(change, gradient.indices))

    def row_slots(self, index: int) -> list[Any]:
        """The slots that `update_rows` moves.

        Args:
            index: Which variable, as Keras numbers the slots.

        Returns:
            `keras.Variable`s of the variable's shape.
        """
        raise NotImplementedError

    def update_rows(self, slots: list[Any], ids: Any, rows: Any, rate: Any) -> Any:
        """Moves the slots of the batch's rows.

        Args:
            slots: `tf.Variable`s `[V, d]`, those of `row_slots`.
            ids: int `[n]`, distinct row numbers.
            rows: float `[n, d]`, the rows' summed gradients.
            rate: float scalar.

        Returns:
            float `[n, d]`, what to subtract from the variable's rows.
        """
        raise NotImplementedError

    def update_dense(self, index: int, gradient: Any, variable: Any, rate: Any) -> None:
        """The step of a variable with a dense gradient: the Keras optimizer's.

        Args:
            index: Which variable, as Keras numbers the slots.
            gradient: float tensor of the variable's shape.
            variable: The variable.
            rate: float scalar.
        """
        super().update_step(gradient, variable, rate)  # type: ignore[misc]

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        norm = self.global_clipnorm  # type: ignore[attr-defined]
        if not norm or keras.backend.backend() != "tensorflow":
            return super()._clip_gradients(grads)  # type: ignore[misc]
        import tensorflow as tf

        # Keras's own would make every gradient dense.
        return tf.clip_by_global_norm(grads, norm)[0]

    def _apply_weight_decay(self, variables: Any) -> None:
        """Nothing here: `update_step` decays each dense weight at its own rate."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rates": dict(self.rates)}  # type: ignore[misc]
