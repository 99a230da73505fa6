"""Finding many texts among tens of millions."""

from typing import Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfmm.records.ragged import stretches
from tfmm.records.sorted_ids import SortedIds

_CHUNK = 1 << 20
# Odd numbers, so that no byte of a text is lost in the product.
_BASE, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


class TextSearch:
    """Places of texts, by a number of 64 bits each and then by the text itself.

    Arrow's `index_in` makes a table of all known texts at every call, which takes a
    second for five million; this makes one once.

    Args:
        texts: String array `[n]`.
        numbers: int64 `[n]`, different for all texts.
    """

    def __init__(self, texts: pa.Array, numbers: np.ndarray) -> None:
        self._texts = texts
        self._order = np.argsort(numbers)
        self._search = SortedIds(numbers[self._order])

    @classmethod
    def of(cls, texts: pa.Array) -> Optional["TextSearch"]:
        """A search, or `None` where two texts have the same number.

        Example:
            >>> found = TextSearch.of(pa.array(["b", "a"]))
            >>> found.places(pa.array(["a", "c", "b"])).tolist()
            [1, -1, 0]
        """
        numbers = _numbers(texts)
        made = cls(texts, numbers)
        ids = made._search.ids
        return None if (ids[1:] == ids[:-1]).any() else made

    def places(self, ids: pa.Array) -> np.ndarray:
        """Where each id stands, int64 `[m]`; -1 where it is none of the texts."""
        found = self._search.places(_numbers(ids))
        likely = np.flatnonzero(found >= 0)
        place = self._order[found[likely]]
        same = pc.equal(self._texts.take(pa.array(place)), ids.take(pa.array(likely)))
        found[likely] = np.where(pc.fill_null(same, False).to_numpy(False), place, -1)
        return found


def _numbers(texts: pa.Array) -> np.ndarray:
    """A number for every text: int64 `[n]`."""
    parts = [
        _numbers_of(texts[at : at + _CHUNK]) for at in range(0, len(texts), _CHUNK)
    ]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _numbers_of(texts: pa.Array) -> np.ndarray:
    """Polynomials of the texts' bytes modulo 2^64, mixed so that they spread evenly."""
    _, bounds, data = texts.buffers()
    part = slice(texts.offset, texts.offset + len(texts) + 1)
    ends = np.frombuffer(bounds, np.int32)[part].astype(np.int64)
    letters = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    ends -= ends[0]
    sizes = np.diff(ends)
    powers = np.cumprod(np.full(sizes.max(initial=0) + 1, _BASE))
    terms = powers[stretches(np.zeros_like(sizes), sizes)] * (letters + np.uint64(1))
    sums = np.r_[np.uint64(0), np.cumsum(terms)]
    numbers = sums[ends[1:]] - sums[ends[:-1]]
    numbers = (numbers ^ (numbers >> np.uint64(32))) * _MIX
    return (numbers ^ (numbers >> np.uint64(32))).view(np.int64)
