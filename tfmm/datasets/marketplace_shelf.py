"""What shoppers are shown: items drawn by popularity, interest and novelty."""

import numpy as np

from tfmm.datasets.marketplace_config import MarketplaceConfig
from tfmm.datasets.marketplace_world import INTERESTS, Items, Shoppers, match

_TASTE = 1.35
_CHOICE, _SHARPNESS = 24, 1.5


class Shelf:
    """Draws items in proportion to their popularity, of one group or of any.

    Args:
        items: int `[n]`, the items on it.
        group: int `[n]`, their groups.
        weight: float `[n]`, their popularity.

    Example:
        >>> shelf = Shelf(np.array([3, 7]), np.array([0, 1]), np.array([1.0, 1.0]))
        >>> shelf.draw(np.random.default_rng(0), np.array([1, 0, 1])).tolist()
        [7, 3, 7]
    """

    def __init__(
        self, items: np.ndarray, group: np.ndarray, weight: np.ndarray
    ) -> None:
        order = np.argsort(group, kind="stable")
        self._items, groups = items[order], group[order]
        self._groups = int(groups[-1]) + 1 if len(groups) else 0
        self._bounds = np.searchsorted(groups, np.arange(self._groups + 1))
        self._sums = np.concatenate([[0.0], np.cumsum(weight[order])])

    def __len__(self) -> int:
        return len(self._items)

    def draw(self, rng: np.random.Generator, group: np.ndarray) -> np.ndarray:
        """One item for each wanted group; -1 and groups without items mean any."""
        known = (group >= 0) & (group < self._groups)
        wanted = np.where(known, group, 0)
        low, high = self._bounds[wanted], self._bounds[wanted + 1]
        known &= high > low
        low, high = np.where(known, low, 0), np.where(known, high, len(self))
        start = self._sums[low]
        point = start + rng.random(group.shape) * (self._sums[high] - start)
        place = np.searchsorted(self._sums, point, side="right") - 1
        return self._items[np.clip(place, low, high - 1)]


class Market:
    """What all days share: items, shoppers, and who may be shown on which day."""

    def __init__(
        self, config: MarketplaceConfig, items: Items, shoppers: Shoppers
    ) -> None:
        self.config, self.items, self.shoppers = config, items, shoppers
        self._old = self.shelf(items.born == 0)

    def shelf(self, chosen: np.ndarray) -> Shelf:
        """A shelf of the chosen items, grouped by shape."""
        where = np.flatnonzero(chosen)
        shape, weight = self.items.attributes[where, 0], self.items.popularity[where]
        return Shelf(where, shape, weight)

    def fresh(self, day: int) -> Shelf:
        """The new items that are there on a day."""
        return self.shelf((self.items.born > 0) & (self.items.born <= day))

    def candidates(
        self, rng: np.random.Generator, user: np.ndarray, width: int, day: int
    ) -> np.ndarray:
        """Draws items to show: int `[n, width]`, with repeats.

        Half are popular items of the shapes a shopper is interested in, half are
        popular items; in the test days a share of both are new items.
        """
        size = (len(user), width)
        interest = rng.integers(INTERESTS, size=size)
        shape = self.shoppers.interests[user[:, None], interest, 0]
        shape = np.where(rng.random(size) < 0.5, shape, -1)
        drawn = self._old.draw(rng, shape)
        fresh = self.fresh(day)
        if len(fresh):
            new = rng.random(size) < self.config.new_impressions
            drawn = np.where(new, fresh.draw(rng, shape), drawn)
        return drawn

    def taste(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Logit of the taste match, for arrays of any one shape."""
        flat = match(
            self.items.attributes[item.ravel()], self.shoppers.interests[user.ravel()]
        )
        return _TASTE * flat.reshape(item.shape)

    def shoppers_of_day(self, rng: np.random.Generator, total: float) -> np.ndarray:
        """Who comes, int `[n]`: Poisson, `total` over all days on average."""
        rate = self.shoppers.activity * (total / self.config.days)
        return np.repeat(np.arange(self.config.users), rng.poisson(rate))

    def choose(
        self, rng: np.random.Generator, user: np.ndarray, day: int
    ) -> np.ndarray:
        """An item to each shopper's taste, int `[n]`: softmax over some candidates."""
        item = self.candidates(rng, user, _CHOICE, day)
        liking = self.taste(np.broadcast_to(user[:, None], item.shape), item)
        best = np.argmax(_SHARPNESS * liking + rng.gumbel(size=item.shape), axis=1)
        return item[np.arange(len(user)), best]
