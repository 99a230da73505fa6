"""Precomputed vectors, as they are or with a trained projection."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfmm.catalog.vector_files import Ids, read_vectors
from tfmm.encoders.encoder import Encoder
from tfmm.encoders.layers import UnitVector
from tfmm.encoders.tower import Tower
from tfmm.errors import TfmmError
from tfmm.records.index import FIRST_ROW, ItemIndex

Projection = Literal["none", "linear", "mlp"]
_MATRIX, _IDS = "matrix.npy", "ids.json"


class VectorEncoder(Encoder):
    """Anybody's item vectors; `tower` goes on from them to unit vectors.

    Args:
        tower: From float32 `[B, D]` to float32 `[B, d]`; see `vector_tower`.
        matrix: Vectors `[N, D]`; a row of zeros, or with a value that is not finite,
            is no vector.
        ids: Raw item ids, one per row of the matrix.
        source: Names the vectors in `digest`; derived from them when absent.

    Example:
        >>> import tfmm
        >>> encoder = tfmm.encoders.vectors([[3.0, 4.0], [0.0, 0.0]], ids=["b", "a"])
        >>> encoder.embed().round(1).tolist()
        [[0.6..., 0.8...], [0.0, 0.0]]
        >>> table, present = encoder.rows(tfmm.ItemIndex.create(["a", "b"]))
        >>> table.tolist(), present.tolist()  # rows 0 and 1 are no item's
        ([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [3.0, 4.0]], [False, False, False, True])
    """

    modality = "vector"

    def __init__(
        self,
        tower: keras.Model,
        matrix: NDArray[Any],
        ids: Sequence[str],
        source: str | None = None,
    ) -> None:
        super().__init__(tower)
        self.matrix = np.asarray(matrix, np.float32)
        self.ids = list(ids)
        self._source = source

    @cached_property
    def source(self) -> str:
        """Name of the vectors: as given, else a digest of ids and numbers."""
        if self._source is not None:
            return self._source
        state = hashlib.sha256("\n".join(self.ids).encode())
        state.update(np.ascontiguousarray(self.matrix).data)
        return state.hexdigest()[:16]

    def read(self, raw: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The tower's input for raw vectors float32 `[B, D]`, and which are usable."""
        raw = tf.cast(raw, tf.float32)
        usable = tf.reduce_all(tf.math.is_finite(raw), 1) & tf.reduce_any(raw != 0, 1)
        return tf.where(usable[:, None], raw, 0.0), usable

    def rows(self, index: ItemIndex) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The raw vectors by catalog row.

        Args:
            index: Where the rows come from; vectors of unknown items are left out.

        Returns:
            float32 `[index.rows, D]`, zeros where there is none, and bool
            `[index.rows]`.

        Raises:
            TfmmError: If no vector belongs to an item of the index.
        """
        at = np.asarray(index.rows_of(self.ids))
        usable = np.isfinite(self.matrix).all(axis=1) & self.matrix.any(axis=1)
        kept = usable & (at >= FIRST_ROW)
        if not kept.any():
            raise TfmmError(
                "No vector belongs to an item of the index. Received: "
                f"{len(self.ids)} ids such as {self.ids[:3]}, the index's are such as "
                f"{index.ids[:3]}. Check that both are raw item ids."
            )
        table = np.zeros((index.rows, self.matrix.shape[1]), np.float32)
        table[at[kept]] = self.matrix[kept]
        present = np.zeros(index.rows, bool)
        present[at[kept]] = True
        return table, present

    def embed(self, batch_size: int = 4096) -> NDArray[np.float32]:
        """The unit vectors of `ids`, float32 `[N, d]`, zeros where there is none.

        `Catalog.from_vectors(encoder.ids, encoder.embed(), ...)` makes a catalog of
        them.

        Args:
            batch_size: Vectors per call of the tower.
        """
        found = np.zeros((len(self.ids), self.dimension), np.float32)
        for start in range(0, len(self.ids), batch_size):
            raw, usable = self.read(self.matrix[start : start + batch_size])
            vectors = keras.ops.convert_to_numpy(self.tower(raw, training=False))
            found[start : start + batch_size] = vectors * usable.numpy()[:, None]
        return found

    def _config(self) -> dict[str, Any]:
        return {"source": self.source}

    def _save_assets(self, folder: Path) -> None:
        np.save(folder / _MATRIX, self.matrix)
        (folder / _IDS).write_text(json.dumps(self.ids), encoding="utf-8")

    @classmethod
    def _assemble(
        cls, tower: keras.Model, config: dict[str, Any], folder: Path
    ) -> Self:
        # Read, not mapped: the folder may be a temporary one of a `.keras` file.
        matrix = np.load(folder / _MATRIX, allow_pickle=False)
        ids = json.loads((folder / _IDS).read_text(encoding="utf-8"))
        return cls(tower, matrix, ids, config["source"])


def vectors(
    matrix: ArrayLike | str | Path,
    *,
    ids: Ids | None = None,
    index: ItemIndex | None = None,
    dimension: int | None = None,
    projection: Projection = "none",
    source: str | None = None,
) -> VectorEncoder:
    """An encoder of precomputed vectors.

    Args:
        matrix: Numbers `[N, D]`, or the path of a `.npy` or Parquet file of them.
        ids: One raw id per row, the path of a `.npy` file of them, or the name of the
            Parquet file's id column.
        index: An item index whose items the rows are, in its order; instead of `ids`.
        dimension: Length d of the vectors. Defaults to D.
        projection: `"none"` takes the vectors as they are, divided by their length;
            `"linear"` and `"mlp"` are trained.
        source: Name and version of the vectors. With it, more items or vectors made
            anew leave `digest` as it is; without, every change of a number alters it.

    Raises:
        TfmmError: If ids and vectors do not match, or `dimension` asks for another
            length without a projection.
    """
    parquet = isinstance(matrix, str | Path) and Path(matrix).suffix == ".parquet"
    if ids is None and index is not None and not parquet:
        ids = index.ids
    texts, _, numbers = read_vectors(ids, matrix)
    tower = vector_tower(numbers.shape[1], dimension, projection)
    return VectorEncoder(tower, numbers, texts, source)


def vector_tower(
    width: int, dimension: int | None = None, projection: Projection = "none"
) -> Tower:
    """Projection and division by the length, from float32 `[B, D]`.

    A linear projection starts orthogonal: where d = D, cosines start as they were. The
    MLP has one hidden layer of 2 D units.

    Args:
        width: D.
        dimension: Length d of the vectors. Defaults to D.
        projection: `"none"`, `"linear"` or `"mlp"`.

    Raises:
        TfmmError: If the projection is unknown, or d is not D without one.
    """
    if projection not in ("none", "linear", "mlp"):
        raise TfmmError(
            f"There is no projection {projection!r}. Received: {projection!r}. Use "
            "'none', 'linear' or 'mlp'."
        )
    if projection == "none" and dimension not in (None, width):
        raise TfmmError(
            f"Vectors of length {width} need a projection to get another. Received: "
            f"dimension={dimension}, projection='none'. Use projection='linear'."
        )
    raw = keras.Input((width,), dtype="float32", name="raw_vector")
    x = raw
    if projection == "mlp":
        x = keras.layers.Dense(2 * width, activation="gelu", name="hidden")(x)
    if projection != "none":
        x = keras.layers.Dense(
            dimension or width, kernel_initializer="orthogonal", name="projection"
        )(x)
    vector = UnitVector(dtype="float32", name="vector")(x)
    return Tower(raw, vector, name="vector_tower")
