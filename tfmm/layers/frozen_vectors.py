"""A frozen, int8 quantised table of item vectors."""

from typing import Any, NamedTuple

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer
from tfmm.layers.gather import gather_rows


class VectorRows(NamedTuple):
    """Gathered rows of one modality.

    Args:
        codes: int8 `[..., d]`.
        inverse_norm: float32 `[...]`, 1 / ||codes||; 0 where absent.
        present: bool `[...]`, whether the item has a vector.
    """

    codes: Any
    inverse_norm: Any
    present: Any


def unit_vectors(rows: VectorRows) -> Any:
    """The rows as vectors of length 1; zeros where absent.

    Args:
        rows: Gathered rows `[..., d]`.

    Returns:
        Tensor `[..., d]` of the dtype of `inverse_norm`.

    Example:
        >>> rows = VectorRows(ops.array([[3, 4]], "int8"), ops.array([0.2]), None)
        >>> ops.convert_to_numpy(unit_vectors(rows)).round(3).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """
    codes = ops.cast(rows.codes, rows.inverse_norm.dtype)
    return codes * rows.inverse_norm[..., None]


@keras.saving.register_keras_serializable(package="tfmm")
class FrozenVectors(Layer):
    """One modality's vectors as non-trainable variables, read by catalog row.

    The variables travel in the `.keras` file and in exports as variables, never as
    constants of a graph; the configuration holds only their shape.

    Args:
        rows: int. Number of catalog rows, rows 0 and 1 included.
        dimension: int. Length d of a vector.

    Input shape:
        int tensor of any shape, catalog rows.

    Output:
        `VectorRows` of tensors `[*ids.shape, d]`, `[*ids.shape]`, `[*ids.shape]`.

    Example:
        >>> import numpy as np
        >>> vectors = FrozenVectors(rows=3, dimension=2)
        >>> vectors.assign(
        ...     np.array([[0, 0], [0, 0], [127, 0]], "int8"),
        ...     np.array([0, 0, 1 / 127], "float32"),
        ...     np.array([False, False, True]),
        ... )
        >>> ops.convert_to_numpy(vectors(ops.array([2, 1])).present).tolist()
        [True, False]
    """

    built: bool

    def __init__(self, rows: int, dimension: int, **kwargs: Any) -> None:
        super().__init__(trainable=kwargs.pop("trainable", False), **kwargs)
        self.rows = rows
        self.dimension = dimension
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return

        def table(name: str, shape: tuple[int, ...], dtype: str) -> keras.Variable:
            return self.add_weight(
                shape=shape,
                initializer="zeros",
                dtype=dtype,
                trainable=False,
                autocast=False,
                name=name,
            )

        self.codes = table("codes", (self.rows, self.dimension), "int8")
        self.inverse_norm = table("inverse_norm", (self.rows,), "float32")
        self.present = table("present", (self.rows,), "bool")
        self.built = True

    def assign(self, codes: Any, inverse_norm: Any, present: Any) -> None:
        """Fills the table.

        Args:
            codes: int8 array `[rows, dimension]`.
            inverse_norm: float32 array `[rows]`.
            present: bool array `[rows]`.

        Raises:
            TfmmError: The arrays have another shape than the table.
        """
        if tuple(codes.shape) != (self.rows, self.dimension):
            raise TfmmError(
                "The vectors do not fit the table. "
                f"Received: codes of shape {tuple(codes.shape)}, table "
                f"({self.rows}, {self.dimension}). Build the model from this catalog."
            )
        self.codes.assign(codes)
        self.inverse_norm.assign(inverse_norm)
        self.present.assign(present)

    def call(self, ids: Any) -> VectorRows:
        return VectorRows(
            gather_rows(self.codes, ids),
            gather_rows(self.inverse_norm, ids),
            gather_rows(self.present, ids),
        )

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "rows": self.rows}
        return {**config, "dimension": self.dimension}
