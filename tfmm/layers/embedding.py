"""ID embeddings with sparse gradients and a row 0 that stays zero."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer
from tfmm.layers.gather import gather_rows


@keras.saving.register_keras_serializable(package="tfmm")
class Embedding(Layer):
    """Looks up rows of a trainable table; code 0 (missing, padding) is always zeros.

    Unlike `keras.layers.Embedding` it gathers from the variable itself, so a step's
    cost does not grow with the vocabulary. Train it with `tfmm.ranking.LazyAdam` or
    `tfmm.ranking.SparseAdagrad`.

    Args:
        rows: int. Number of rows, row 0 included.
        dimension: int. Length of a row.
        initializer: Initial values. Defaults to `"uniform"` (-0.05 to 0.05).

    Input shape:
        int tensor of any shape, values in `[0, rows)`.

    Output shape:
        float tensor `[*ids.shape, dimension]`.

    Raises:
        TfmmError: No rows or no dimension.

    Example:
        >>> rows = Embedding(rows=10, dimension=3)(ops.array([[0, 4]]))
        >>> bool(ops.any(rows[0, 0]))
        False
    """

    def __init__(
        self,
        rows: int,
        dimension: int,
        initializer: str | keras.Initializer = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if rows < 1 or dimension < 1:
            raise TfmmError(
                "An embedding needs at least one row and one dimension. "
                f"Received: rows={rows}, dimension={dimension}."
            )
        self.rows = rows
        self.dimension = dimension
        self.initializer = keras.initializers.get(initializer)
        self.rounded: Callable[[Any], Any] | None = None  # See `rounded_tables`.

    def build(self, input_shape: Any = None) -> None:
        self.table = self.add_weight(
            shape=(self.rows, self.dimension),
            initializer=self.initializer,
            autocast=False,
            name="table",
        )
        self.table.tfmm_table = True  # How optimizers tell it from dense weights.
        self.built = True

    def call(self, ids: Any) -> Any:
        found = self.rounded(ids) if self.rounded else gather_rows(self.table, ids)
        rows = ops.cast(found, self.compute_dtype)
        present = ops.cast(ops.not_equal(ids, 0), self.compute_dtype)
        return rows * present[..., None]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        return (*input_shape, self.dimension)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rows": self.rows,
            "dimension": self.dimension,
            "initializer": keras.initializers.serialize(self.initializer),
        }
