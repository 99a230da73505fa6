"""Vectors of new items beside a frozen table, for one batch."""

from typing import Any

from keras import ops

from tfmm.layers.frozen_vectors import FrozenVectors, VectorRows
from tfmm.layers.gather import gather_rows
from tfmm.layers.masks import keep_valid


class WithNewVectors:
    """A frozen table with further rows after its last: those of items it lacks.

    New vectors are quantised as a catalog quantises its own, so an item scores as if
    the catalog held it.

    Args:
        table: The catalog's vectors, of R rows.
        vectors: float32 `[B, V, d]`, any length; zeros are no vector, and so is a row
            that is not finite. Row `R + b * V + v` is vector `[b, v]`.

    Example:
        >>> table = FrozenVectors(rows=3, dimension=2)
        >>> both = WithNewVectors(table, ops.array([[[0.5, -1.0], [0.0, 0.0]]]))
        >>> found = both(ops.array([3, 4, 2]))
        >>> ops.convert_to_numpy(found.codes).tolist()
        [[64, -127], [0, 0], [0, 0]]
        >>> ops.convert_to_numpy(found.present).tolist()
        [True, False, False]
    """

    def __init__(self, table: FrozenVectors, vectors: Any) -> None:
        self._table = table
        flat = ops.reshape(ops.convert_to_tensor(vectors), (-1, table.dimension))
        # A first row for those who ask for none of them: a gather needs one.
        self._new = quantised(ops.pad(flat, [(1, 0), (0, 0)]))

    def __call__(self, rows: Any) -> VectorRows:
        """The vectors of rows of the table and beyond, int32 of any shape."""
        rows = ops.convert_to_tensor(rows)
        is_new = rows >= self._table.rows
        old = self._table(keep_valid(rows, ops.logical_not(is_new)))
        place = keep_valid(rows - self._table.rows + 1, is_new)
        new = VectorRows(*(gather_rows(part, place) for part in self._new))
        return VectorRows(
            ops.where(is_new[..., None], new.codes, old.codes),
            ops.where(is_new, new.inverse_norm, old.inverse_norm),
            ops.where(is_new, new.present, old.present),
        )


def quantised(vectors: Any) -> VectorRows:
    """The codes of `tfmm.catalog.quantise` as tensors, equal to the last bit.

    `code = round(127 v / max|v|)`, `inverse_norm = 1 / ||code||`.

    Args:
        vectors: float32 `[n, d]`; rows that are not finite count as zeros.
    """
    values = ops.cast(vectors, "float64")
    finite = ops.all(ops.isfinite(values), axis=-1, keepdims=True)
    values = ops.where(finite, values, ops.zeros_like(values))
    largest = ops.max(ops.abs(values), axis=-1, keepdims=True)
    scaled = values / ops.where(largest > 0, largest, ops.ones_like(largest))
    codes = ops.round(scaled * 127)
    square = ops.sum(codes * codes, axis=-1)
    present = square > 0
    norm = ops.sqrt(ops.where(present, square, ops.ones_like(square)))
    inverse = ops.where(present, 1 / norm, ops.zeros_like(norm))
    return VectorRows(ops.cast(codes, "int8"), ops.cast(inverse, "float32"), present)
