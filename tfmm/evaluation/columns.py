"""The flat rows that every metric takes: one per shown item."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfmm.errors import TfmmError


@dataclass(frozen=True)
class Columns:
    """Scored impressions as flat columns, padding removed.

    Attributes:
        user_key: int64 `[n]` keyed hash of the user.
        item: int32 `[n]` catalog row of the shown item.
        time: int64 `[n]` microseconds.
        label: float32 `[n]` 0 or 1.
        probability: float64 `[n]` the model's score; metrics that need a probability
            leave it out when it is not between 0 and 1.
        n_history: int32 `[n]` length of the user's history at that moment.
        request: int64 `[n]` position of the request in the data set.

    Example:
        >>> column = np.arange(3)
        >>> rows = Columns(column, column, column, column % 2, column / 4, column)
        >>> len(rows.select(rows.label == 1))
        1
    """

    user_key: NDArray[np.int64]
    item: NDArray[np.int32]
    time: NDArray[np.int64]
    label: NDArray[np.float32]
    probability: NDArray[np.float64]
    n_history: NDArray[np.int32]
    request: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.request is None:
            object.__setattr__(self, "request", np.arange(len(self.user_key)))
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))
        shapes = {name: getattr(self, name).shape for name in _DTYPES}
        if len(set(shapes.values())) != 1 or len(shapes["label"]) != 1:
            raise TfmmError(
                "All columns must be one-dimensional and of the same length. "
                f"Received: {shapes}. Give one value per shown item."
            )

    def __len__(self) -> int:
        return len(self.user_key)

    def select(self, rows: NDArray[np.generic]) -> Columns:
        """The rows of a boolean mask or an index array, in that order."""
        return Columns(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def with_probability(self, probability: ArrayLike) -> Columns:
        """The same impressions under another score `[n]`, such as the true one."""
        return replace(self, probability=np.asarray(probability, np.float64))

    def save(self, path: str | Path) -> None:
        """Writes the columns to an `.npz` file."""
        np.savez_compressed(path, **{name: getattr(self, name) for name in _DTYPES})

    @classmethod
    def open(cls, path: str | Path) -> Columns:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{name: file[name] for name in _DTYPES})


_DTYPES = {
    "user_key": np.int64,
    "item": np.int32,
    "time": np.int64,
    "label": np.float32,
    "probability": np.float64,
    "n_history": np.int32,
    "request": np.int64,
}
