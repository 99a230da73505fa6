"""How large a simulated marketplace is, and what is special about its items."""

import dataclasses
from typing import Any

from tfmm.errors import TfmmError


@dataclasses.dataclass(frozen=True)
class MarketplaceConfig:
    """Sizes and shares of a simulated marketplace; see `marketplace.generate`.

    Args:
        items: Rows of the items table.
        users: Shoppers.
        days: Days of the log, from 2024-01-01.
        requests_per_user: Mean number of requests of a shopper over all days.
        min_candidates: Fewest items shown in a request.
        max_candidates: Most items shown in a request.
        views_per_user: Mean number of items a shopper views outside of requests.
        searches: Searches that end in a purchase.
        seed: Everything drawn follows from it.
        image_size: Side of the pictures, pixels.
        validation_days: Days before the test days.
        test_days: Last days of the log.
        new_items: Share of items that first appear in the test days.
        new_impressions: Share of the test days' impressions that show them.
        log_only_items: Items that only the log knows, as a share of `items`.
        no_image: Share of items without a picture.
        no_title: Share of items without a title.
    """

    items: int = 3_000
    users: int = 2_500
    days: int = 15
    requests_per_user: float = 13.0
    min_candidates: int = 5
    max_candidates: int = 8
    views_per_user: float = 25.0
    searches: int = 10_000
    seed: int = 7
    image_size: int = 64
    validation_days: int = 1
    test_days: int = 3
    new_items: float = 0.1
    new_impressions: float = 0.18
    log_only_items: float = 0.015
    no_image: float = 0.03
    no_title: float = 0.02

    def __post_init__(self) -> None:
        for name in ("items", "users", "searches"):
            if getattr(self, name) < 1:
                raise _error(name, getattr(self, name), "Give at least 1.")
        for name in ("new_items", "new_impressions", "log_only_items"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise _error(name, getattr(self, name), "Give a share of 0 to 0.5.")
        for name in ("no_image", "no_title"):
            if not 0 <= getattr(self, name) <= 1:
                raise _error(name, getattr(self, name), "Give a share of 0 to 1.")
        for name in ("requests_per_user", "views_per_user", "seed", "validation_days"):
            if getattr(self, name) < 0:
                raise _error(name, getattr(self, name), "Give 0 or more.")
        if self.test_days < 1 or self.train_days < 1:
            raise _error(
                "days", self.days, "Leave at least one day to train and one to test."
            )
        if not 1 <= self.min_candidates <= self.max_candidates <= self.items // 2:
            raise _error(
                "max_candidates",
                self.max_candidates,
                "Give at least `min_candidates` and at most half of `items`.",
            )
        if not 16 <= self.image_size <= 1024:
            raise _error("image_size", self.image_size, "Give 16 to 1024 pixels.")

    @property
    def train_days(self) -> int:
        """Days before the validation days."""
        return self.days - self.validation_days - self.test_days

    @property
    def first_test_day(self) -> int:
        """Number of the first test day, counted from 0."""
        return self.days - self.test_days

    @classmethod
    def of_size(cls, size: str, **changes: Any) -> "MarketplaceConfig":
        """A named size, with some fields changed.

        Args:
            size: `"smoke"` (seconds), `"demo"` (200,000 impressions), `"standard"`
                (24,000 items, 5 million impressions) or `"large"` (100,000 items, 16
                million impressions).
            **changes: Fields to set otherwise.

        Raises:
            TfmmError: If there is no such size or field, or a value is out of range.

        Example:
            >>> MarketplaceConfig.of_size("smoke", seed=1).items
            300
        """
        if size not in _SIZES:
            raise TfmmError(
                f"There is no marketplace of this size. Received: size={size!r}. "
                f"Choose one of {', '.join(_SIZES)}, or pass a MarketplaceConfig."
            )
        fields = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(changes.keys() - fields):
            raise TfmmError(
                f"MarketplaceConfig has no such fields. Received: {unknown}. "
                f"Choose among {', '.join(sorted(fields))}."
            )
        return cls(**{**_SIZES[size], **changes})


def _error(name: str, value: Any, remedy: str) -> TfmmError:
    return TfmmError(f"`{name}` is out of range. Received: {name}={value}. {remedy}")


_SIZES: dict[str, dict[str, Any]] = {
    "smoke": {
        "items": 300,
        "users": 200,
        "days": 8,
        "searches": 400,
        "test_days": 2,
        "image_size": 48,
    },
    "demo": {},
    "standard": {
        "items": 24_000,
        "users": 30_000,
        "days": 21,
        "requests_per_user": 25.0,
        "views_per_user": 30.0,
        "searches": 60_000,
    },
    "large": {
        "items": 100_000,
        "users": 100_000,
        "days": 28,
        "requests_per_user": 25.0,
        "views_per_user": 30.0,
        "searches": 200_000,
    },
}
SIZES = tuple(_SIZES)
