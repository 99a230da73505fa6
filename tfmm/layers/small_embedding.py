"""Embeddings of a handful of codes."""

from typing import Any

import keras
from keras import ops

from tfmm.layers.embedding import Embedding


@keras.saving.register_keras_serializable(package="tfmm")
class SmallEmbedding(Embedding):
    """An `Embedding` of few rows, looked up by a matrix product.

    When every row occurs in every batch, a product with one-hot codes is several times
    cheaper in training than gathering and summing a row's many gradients. It costs
    `rows` multiplications per number, so it is meant for tens of rows: event types,
    places. The gradient is dense.

    Args:
        rows: int. Number of rows, row 0 included.
        dimension: int. Length of a row.
        initializer: Initial values. Defaults to `"uniform"` (-0.05 to 0.05).

    Input shape:
        int tensor of any shape, values in `[0, rows)`.

    Output shape:
        float tensor `[*ids.shape, dimension]`; zeros for code 0.

    Example:
        >>> rows = SmallEmbedding(rows=4, dimension=3)(ops.array([[0, 2]]))
        >>> bool(ops.any(rows[0, 0])), bool(ops.any(rows[0, 1]))
        (False, True)
    """

    def call(self, ids: Any) -> Any:
        # Codes from 1 on, so that 0 (missing) has no slot and stays zero.
        slots = ops.one_hot(ids - 1, self.rows - 1, dtype=self.compute_dtype)
        table = ops.cast(self.table, self.compute_dtype)
        return ops.matmul(slots, table[1:])
