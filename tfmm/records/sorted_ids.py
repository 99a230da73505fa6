"""Finding many integer ids among tens of millions."""

import numpy as np

_MOST_BITS = 25
# Lots this crowded are of ids in lumps.
_CROWDED = 16


class SortedIds:
    """Places of ids in a sorted array, by a table of their leading bits.

    Hashed ids spread evenly, so that a table with about one entry an id leads to
    within a step or two of each: a search touches two or three cache lines where
    bisection in 35 million ids touches twenty-five. Ids in lumps are bisected.

    Args:
        ids: int64 `[n]`, sorted.

    Example:
        >>> SortedIds(np.array([-7, 3, 9])).places(np.array([9, -7, 4])).tolist()
        [2, 0, -1]
    """

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = np.ascontiguousarray(ids, np.int64)
        self._crowd = 0
        if not len(ids):
            return
        first, last = int(self.ids[0]), int(self.ids[-1])
        bits = min(_MOST_BITS, max(1, len(ids).bit_length() - 1))
        self._shift = np.uint64(max(0, (last - first).bit_length() - bits))
        self._first = np.int64(first)
        lots = self._lot(self.ids)
        sizes = np.bincount(lots.astype(np.int64))
        self._starts = np.zeros(len(sizes) + 1, np.int32)
        np.cumsum(sizes, out=self._starts[1:])
        self._crowd = int(sizes.max())

    def places(self, ids: np.ndarray) -> np.ndarray:
        """Where each id stands, int64 `[m]`; -1 where it is none of them."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        if self._crowd > _CROWDED:
            return self._bisected(ids)
        inside = (ids >= self.ids[0]) & (ids <= self.ids[-1])
        lots = self._lot(np.where(inside, ids, self._first))
        place = self._starts[lots].astype(np.int64)
        left = np.flatnonzero(self.ids[place.clip(max=len(self.ids) - 1)] < ids)
        while len(left):
            place[left] += 1
            left = left[place[left] < len(self.ids)]
            left = left[self.ids[place[left]] < ids[left]]
        return self._checked(place, ids)

    def _bisected(self, ids: np.ndarray) -> np.ndarray:
        return self._checked(np.searchsorted(self.ids, ids), ids)

    def _checked(self, place: np.ndarray, ids: np.ndarray) -> np.ndarray:
        place = np.minimum(place, len(self.ids) - 1)
        return np.where(self.ids[place] == ids, place, -1)

    def _lot(self, ids: np.ndarray) -> np.ndarray:
        """The leading bits of the distance to the first id."""
        distance = ids.astype(np.uint64) - self._first.astype(np.uint64)
        return distance >> self._shift
