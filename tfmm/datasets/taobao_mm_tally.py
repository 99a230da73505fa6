"""What occurs in Taobao-MM: items with their categories, values of features."""

from collections.abc import Sequence

import numpy as np

from tfmm.datasets.taobao_mm_files import ITEM_FEATURES, USER_FEATURES
from tfmm.datasets.taobao_mm_users import UserRows
from tfmm.records.sorted_ids import SortedIds


class Codes:
    """Codes of integers in the order of their first appearance; 0 is missing.

    Example:
        >>> codes = Codes()
        >>> codes.of(np.array([50, 0, -3, 50])).tolist(), codes.values
        ([2, 0, 1, 2], [-3, 50])
    """

    def __init__(self) -> None:
        self._code = {0: 0}

    @property
    def values(self) -> list[int]:
        """The integers; code `i + 1` stands for `values[i]`."""
        return list(self._code)[1:]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """int32 codes of integers of the same shape; unseen ones get the next."""
        distinct, place = np.unique(numbers, return_inverse=True)
        codes = [self._code.setdefault(n, len(self._code)) for n in distinct.tolist()]
        return np.array(codes, np.int32)[place.reshape(numbers.shape)]


class Tally:
    """Counts over all users, of the size of the vocabulary.

    An id counts when it has a vector or was shown; all others are unknown. A shown
    item's category is its own feature, that of other items the one their first event
    has.

    Args:
        ids: int64 `[n]`, sorted: ids that may count.
        shown: int64 `[m]`, sorted: those among them that were shown.
        features: int64 `[m, 3]`, their features.
    """

    def __init__(
        self, ids: np.ndarray, shown: np.ndarray, features: np.ndarray
    ) -> None:
        self.search = SortedIds(ids)
        self.item_values = tuple(Codes() for _ in ITEM_FEATURES)
        self.user_values = tuple(Codes() for _ in USER_FEATURES)
        self.occurs = np.zeros(len(ids), bool)
        self.train_count = np.zeros(len(ids), np.int32)
        self.unknown_events = self.longest = 0
        self._train_users: list[np.ndarray] = []
        self._shown = self.search.places(shown)
        pairs = zip(self.item_values, features.T, strict=True)
        self._shown_codes = np.stack([codes.of(column) for codes, column in pairs], 1)
        self._category = np.zeros(len(ids), np.int32)
        self._category[self._shown] = self._shown_codes[:, 0]
        self.occurs[self._shown] = True

    def codes(self) -> np.ndarray:
        """int32 `[k, 3]`: codes of the features of the items that occur."""
        place = np.cumsum(self.occurs)[self._shown] - 1
        found = np.zeros((int(self.occurs.sum()), len(ITEM_FEATURES)), np.int32)
        found[place] = self._shown_codes
        found[:, 0] = self._category[self.occurs]
        return found

    def add(self, users: Sequence[UserRows], train: bool) -> None:
        """Counts some users: what is shown and done in training, and categories."""
        events = np.concatenate([user.items for user in users])
        categories = np.concatenate([user.categories for user in users])
        self.longest = max(self.longest, *(len(user.shown) for user in users))
        place = self.search.places(events)
        self.unknown_events += int((place < 0).sum())
        known = np.flatnonzero(place >= 0)
        distinct, first, counts = np.unique(
            place[known], return_index=True, return_counts=True
        )
        self.occurs[distinct] = True
        new = self._category[distinct] == 0
        fresh = categories[known[first[new]]]
        self._category[distinct[new]] = self.item_values[0].of(fresh)
        if not train:
            return
        self.train_count[distinct] += counts.astype(np.int32)
        shown = self.search.places(np.concatenate([user.shown for user in users]))
        distinct, counts = np.unique(shown, return_counts=True)
        self.train_count[distinct] += counts.astype(np.int32)
        for i, values in enumerate(self.user_values):
            values.of(np.array([user.features[i] for user in users]))
        self._train_users.append(np.array([user.user for user in users]))

    def train_users(self) -> np.ndarray:
        """int64 `[u]`, sorted: all users of training."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *self._train_users]))
