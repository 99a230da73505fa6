"""Columns of many records, each record with any number of values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Texts:
    """Byte strings end to end, as Arrow has them.

    Args:
        data: uint8 `[b]`.
        bounds: int64 `[v + 1]`: text `i` is `data[bounds[i]:bounds[i + 1]]`.

    Example:
        >>> texts = Texts.of([b"red", b"", b"shoe"])
        >>> len(texts), texts.bounds.tolist(), texts.data.tobytes()
        (3, [0, 3, 3, 7], b'redshoe')
    """

    data: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> "Texts":
        """The texts of a list."""
        sizes = np.array([0, *map(len, texts)], np.int64)
        return cls(np.frombuffer(b"".join(texts), np.uint8), np.cumsum(sizes))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, part: slice) -> "Texts":
        first, last, _ = part.indices(len(self))
        bounds = self.bounds[first : last + 1]
        return Texts(self.data[bounds[0] : bounds[-1]], bounds - bounds[0])


@dataclass(frozen=True)
class Ragged:
    """One feature of n records.

    Args:
        values: Integers `[v]`, floats `[v]` or v `Texts`, of all records in order.
        offsets: int64 `[n + 1]`: record `i` has `values[offsets[i]:offsets[i + 1]]`.

    Example:
        >>> column = Ragged(np.array([7, 8, 9]), np.array([0, 1, 1, 3]))
        >>> len(column), column[1:].values.tolist(), column[1:].offsets.tolist()
        (3, [8, 9], [0, 0, 2])
    """

    values: np.ndarray | Texts
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, part: slice) -> "Ragged":
        first, last, _ = part.indices(len(self))
        offsets = self.offsets[first : last + 1]
        return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])


def stretches(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The places of all stretches, one stretch after the other: int64 `[sizes.sum()]`.

    Example:
        >>> stretches(np.array([7, 2]), np.array([2, 3])).tolist()
        [7, 8, 2, 3, 4]
    """
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - ends + sizes, sizes)
