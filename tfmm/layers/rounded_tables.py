"""Embedding tables in fewer bytes, for serving."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfmm.errors import TfmmError
from tfmm.layers.embedding import Embedding
from tfmm.layers.gather import gather_rows
from tfmm.layers.small_embedding import SmallEmbedding

STORAGES = ("float32", "float16", "int8")
_LARGEST_CODE = 127


class Float16Rows:
    """A table in float16; rows become float32 after the gather.

    Args:
        table: float32 array `[rows, d]`.

    Raises:
        TfmmError: If a number is beyond float16.
    """

    def __init__(self, table: NDArray[np.float32]) -> None:
        largest = np.abs(table).max(initial=0)
        if not largest <= np.finfo(np.float16).max:
            raise TfmmError(
                "An embedding does not fit into float16. Expected: numbers up to "
                f"{np.finfo(np.float16).max:.0f}. Received: {largest}. Store the "
                "tables as int8 or float32."
            )
        self._rows = _variable(table.astype(np.float16))

    def __call__(self, ids: Any) -> Any:
        return ops.cast(gather_rows(self._rows, ids), "float32")


class Int8Rows:
    """A table in int8, each row scaled by its own largest number.

    `code = round(127 v / max|v|)`, and a row is its codes times `max|v| / 127`, which
    is computed after the gather: no component is off by more than `max|v| / 254`.

    Args:
        table: float32 array `[rows, d]`.

    Raises:
        TfmmError: If a number is NaN or infinite.

    Example:
        >>> rows = Int8Rows(np.float32([[0.0, 0.0], [1.27, -0.5]]))
        >>> print(ops.convert_to_numpy(rows(ops.array([1]))).round(4))
        [[ 1.27 -0.5 ]]
    """

    def __init__(self, table: NDArray[np.float32]) -> None:
        if not np.isfinite(table).all():
            raise TfmmError(
                "Embeddings must be finite. Received: NaN or infinity in "
                f"{int((~np.isfinite(table)).any(1).sum())} rows. Train again with a "
                "lower learning rate."
            )
        scale = np.abs(table).max(axis=1) / np.float32(_LARGEST_CODE)
        # Of rows so small that their scale is 0 nothing is left.
        divisor = np.where(scale > 0, scale, 1)[:, None]
        codes = np.clip(np.rint(table / divisor), -_LARGEST_CODE, _LARGEST_CODE)
        self._codes = _variable(codes.astype(np.int8))
        self._scale = _variable(scale.astype(np.float32))

    def __call__(self, ids: Any) -> Any:
        codes = ops.cast(gather_rows(self._codes, ids), "float32")
        return codes * gather_rows(self._scale, ids)[..., None]


@contextmanager
def rounded_tables(model: Any, storage: str) -> Iterator[None]:
    """Within it, a model's embeddings read rounded copies of their tables.

    What is traced or computed inside, `predict` included, reads the copies alone; so an
    export made inside holds them in place of the tables. Afterwards the model is as it
    was. Tables of a handful of codes (`SmallEmbedding`) stay float32.

    Args:
        model: A Keras model with layers of `tfmm.layers.Embedding`; not while it is
            trained.
        storage: `"float32"` (nothing changes), `"float16"`, or `"int8"` with a float32
            scale per row.

    Raises:
        TfmmError: Another storage, a model without such layers, or numbers that the
            storage cannot hold.

    Example:
        >>> layer = Embedding(2, 2)
        >>> model = keras.Sequential([keras.Input((), dtype="int32"), layer])
        >>> _ = layer.table.assign([[0.0, 0.0], [1.0, 0.3]])
        >>> with rounded_tables(model, "int8"):
        ...     print(ops.convert_to_numpy(layer(ops.array([1]))).round(4))
        [[1.     0.2992]]
    """
    if storage not in STORAGES:
        raise TfmmError(
            f"Embedding tables can be stored as {', '.join(STORAGES)}. "
            f"Received: {storage!r}."
        )
    layers = _embeddings(model) if storage != "float32" else []
    if storage != "float32" and not layers:
        raise TfmmError(
            "The model has no embedding table that could be rounded. Expected: layers "
            f"tfmm.layers.Embedding. Received: {type(model).__name__} without any. "
            'Store its tables as they are: "float32".'
        )
    kind = Int8Rows if storage == "int8" else Float16Rows
    copies = [kind(ops.convert_to_numpy(layer.table)) for layer in layers]
    try:
        for layer, copy in zip(layers, copies, strict=True):
            layer.rounded = copy
        _forget_graphs(model, layers)
        yield
    finally:
        for layer in layers:
            layer.rounded = None
        _forget_graphs(model, layers)


def _embeddings(model: Any) -> list[Embedding]:
    found = {
        id(layer): layer
        for layer in model._flatten_layers()
        if isinstance(layer, Embedding) and not isinstance(layer, SmallEmbedding)
    }
    return list(found.values())


def _forget_graphs(model: Any, layers: list[Embedding]) -> None:
    """Makes `predict` and `evaluate` trace again: their graphs read the other table."""
    if layers:
        model.predict_function = model.test_function = None


def _variable(values: NDArray[Any]) -> keras.Variable:
    return keras.Variable(
        values, dtype=values.dtype.name, trainable=False, autocast=False
    )
