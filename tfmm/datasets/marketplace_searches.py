"""Searches that end in a purchase, by picture or by words."""

from typing import Any

import numpy as np

from tfmm.datasets.marketplace_log import ORDER, Events, moments
from tfmm.datasets.marketplace_pictures import draw, shopper_view
from tfmm.datasets.marketplace_shelf import Market, Shelf
from tfmm.datasets.marketplace_words import ATTRIBUTES, search_words
from tfmm.datasets.marketplace_world import random

_SEARCHES = 5
_BY_PICTURE, _BY_BOTH = 0.55, 0.1
_NEGATIVES = 2


def searches_of_day(
    market: Market, day: int, count: int
) -> tuple[dict[str, list[Any]], Events]:
    """Simulates the searches of a day.

    More than half of the queries are pictures, the others words, a tenth both. The
    clicked items share the bought one's shape and its colour or pattern, and differ
    in what else can be seen.

    Args:
        market: Items and shoppers.
        day: Number of the day.
        count: Searches of the day.

    Returns:
        The columns of the searches table, in time order, and the purchases.
    """
    config, items = market.config, market.items
    rng = random(config, _SEARCHES, day)
    rate = market.shoppers.activity
    user = rng.choice(config.users, count, p=rate / rate.sum())
    bought = market.choose(rng, user, day)
    time = moments(rng, count, day)
    kind = rng.random(count)
    by_picture = kind < _BY_PICTURE + _BY_BOTH
    by_words = (kind < _BY_BOTH) | ~by_picture
    words = search_words(rng, items.attributes[bought])
    pictures = [
        _picture(market, rng, item) if wanted else None
        for item, wanted in zip(bought, by_picture, strict=True)
    ]
    columns = {
        "time": time.tolist(),
        "query_text": [w if by_words[i] else None for i, w in enumerate(words)],
        "query_image": pictures,
        "bought_item": items.ids[bought].tolist(),
        "clicked_items": _clicked(market, rng, bought, day),
    }
    delay = rng.integers(60, 900, size=count)
    orders = Events(user, bought, time + delay, np.full(count, ORDER, np.int8))
    return columns, orders


def _picture(market: Market, rng: np.random.Generator, item: int) -> bytes:
    items = market.items
    return draw(
        items.attributes[item].tolist(),
        int(items.accent[item]),
        items.tone[item],
        shopper_view(rng),
        market.config.image_size,
    )


def _clicked(
    market: Market, rng: np.random.Generator, bought: np.ndarray, day: int
) -> list[list[str]]:
    items = market.items
    there = np.flatnonzero(items.born <= day)
    found = []
    for second in (1, 2):
        values = len(ATTRIBUTES[second])
        group = items.attributes[:, 0] * values + items.attributes[:, second]
        shelf = Shelf(there, group[there], np.ones(len(there)))
        found.append(shelf.draw(rng, np.repeat(group[bought, None], _NEGATIVES, 1)))
    drawn = np.concatenate(found, axis=1)
    looks = items.attributes[drawn] != items.attributes[bought][:, None]
    kept = looks.any(axis=2) & (rng.random(drawn.shape) < 0.5)
    return [
        sorted(set(items.ids[drawn[i, kept[i]]].tolist())) for i in range(len(bought))
    ]
