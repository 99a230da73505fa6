"""Int8 vectors whose cosines come out the same on every device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfmm.errors import TfmmError

QUANTISATION = "int8-row-maximum"
_CHUNK = 65_536


@dataclass(frozen=True)
class VectorTable:
    """The quantised vectors of one modality, one per catalog row.

    `cos(i, j) = (codes_i . codes_j) inverse_norm_i inverse_norm_j`: the integer product
    is exact in float32 for any order of summation (up to d = 1,040), so a similarity
    never depends on the device or the batch shape.

    Attributes:
        codes: int8 `[rows, d]`, zeros where absent.
        inverse_norm: float32 `[rows]`, `1 / ||codes||`, 0 where absent.
        present: bool `[rows]`, whether the row has a vector.
    """

    codes: NDArray[np.int8]
    inverse_norm: NDArray[np.float32]
    present: NDArray[np.bool_]

    @property
    def rows(self) -> int:
        return len(self.codes)

    @property
    def dimension(self) -> int:
        return self.codes.shape[1]

    def unit_vectors(self) -> NDArray[np.float32]:
        """float32 `[rows, d]` of length one, zeros where absent."""
        return self.codes.astype(np.float32) * self.inverse_norm[:, None]

    def cosines(self, row: int) -> NDArray[np.float32]:
        """Cosine of one row with every row, float32 `[rows]`; 0 where absent."""
        query = self.codes[row].astype(np.float32)
        out = np.empty(self.rows, np.float32)
        for start in range(0, self.rows, _CHUNK):
            part = slice(start, start + _CHUNK)
            out[part] = self.codes[part].astype(np.float32) @ query
        return out * self.inverse_norm * self.inverse_norm[row]

    @classmethod
    def empty(cls, rows: int, dimension: int) -> VectorTable:
        """A table in which every row is absent."""
        return quantise(np.zeros((rows, dimension), np.int8))

    def filled(self, rows: NDArray[np.integer], vectors: VectorTable) -> VectorTable:
        """A copy in which some rows hold the vectors of another table, in its order.

        Embedding jobs come in shards; a row's code depends on that row alone, so
        quantising shard by shard gives the same table.
        """
        codes, inverse_norm = np.array(self.codes), np.array(self.inverse_norm)
        codes[rows], inverse_norm[rows] = vectors.codes, vectors.inverse_norm
        return VectorTable(codes, inverse_norm, inverse_norm > 0)

    def padded(self, rows: int) -> VectorTable:
        """The same table with absent rows appended up to `rows`."""
        more = rows - self.rows
        if not more:
            return self
        return VectorTable(
            np.pad(self.codes, ((0, more), (0, 0))),
            np.pad(self.inverse_norm, (0, more)),
            np.pad(self.present, (0, more)),
        )


def quantise(vectors: ArrayLike) -> VectorTable:
    """Quantises vectors to int8, each row by its own largest component.

    `code = round(127 v / max|v|)`, `inverse_norm = 1 / ||code||`. A cosine does not
    depend on the scale of a row, so none is stored. A zero row is an absent vector.

    Args:
        vectors: real numbers `[rows, d]`, any scale.

    Raises:
        TfmmError: not a matrix of numbers, or NaN or infinity inside.

    Example:
        >>> table = quantise([[0.5, -1.0], [0.0, 0.0]])
        >>> table.codes.tolist(), table.present.tolist()
        ([[64, -127], [0, 0]], [True, False])
    """
    matrix = as_matrix(vectors)
    codes = np.empty(matrix.shape, np.int8)
    inverse_norm = np.zeros(len(matrix), np.float32)
    for start in range(0, len(matrix), _CHUNK):
        part = slice(start, start + _CHUNK)
        values = np.asarray(matrix[part], np.float64)
        if not np.isfinite(values).all():
            bad = start + np.flatnonzero(~np.isfinite(values).all(axis=1))
            raise TfmmError(
                "Vectors must be finite. Received: NaN or infinity in "
                f"{len(bad)} rows, first row {bad[0]}. Leave these items out."
            )
        largest = np.abs(values).max(axis=1, keepdims=True)
        scaled = np.divide(values, largest, out=values, where=largest > 0)
        codes[part] = np.rint(scaled * 127)
        norm = np.sqrt(np.square(codes[part], dtype=np.int64).sum(axis=1))
        np.divide(1, norm, out=inverse_norm[part], where=norm > 0, casting="unsafe")
    return VectorTable(codes, inverse_norm, inverse_norm > 0)


def as_matrix(vectors: ArrayLike) -> NDArray[np.generic]:
    """Checks that the input is a matrix `[rows, d]` of real numbers, d > 0."""
    try:
        matrix = np.asarray(vectors)
    except ValueError as error:
        raise TfmmError(
            "Vectors must all have the same length. "
            f"Received: {error}. Give a matrix [rows, d]."
        ) from error
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise TfmmError(
            "Vectors must form a matrix [rows, d]. "
            f"Received: shape {matrix.shape}. Give one vector per row."
        )
    if matrix.dtype.kind not in "fiu":
        raise TfmmError(
            "Vectors must be real numbers. "
            f"Received: dtype {matrix.dtype}. Convert them to float32."
        )
    return matrix
