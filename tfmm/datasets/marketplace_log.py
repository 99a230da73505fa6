"""A day of the marketplace: what is shown, clicked, viewed, carted and ordered."""

from typing import NamedTuple

import numpy as np

from tfmm.datasets.marketplace_shelf import Market
from tfmm.datasets.marketplace_world import random

START = 1_704_067_200  # 2024-01-01T00:00:00Z
DAY = 86_400
EVENT_TYPES = ("view", "cart", "order")
VIEW, CART, ORDER = range(3)

_BIAS = -3.95
_POSITION = 0.25
_DISCOUNT = 1.5
_HOUR_RATE = 1.0 + 0.9 * np.sin((np.arange(24) - 13) * np.pi / 12)
_HOUR_EFFECT = 0.2 * np.cos((np.arange(24) - 21) * np.pi / 12)
_REQUESTS, _BROWSING = 3, 4


class Impressions(NamedTuple):
    """Impressions of one day in time order, arrays `[n]`; users and items by number.

    `probability` is the true probability of a click, `base_score` what the production
    model believed it to be: that model knows shoppers, items and shapes, not the taste
    for colours, patterns and styles.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    click: np.ndarray
    request: np.ndarray
    position: np.ndarray
    hour: np.ndarray
    discount: np.ndarray
    base_score: np.ndarray
    probability: np.ndarray


class Events(NamedTuple):
    """Events, arrays `[n]`; users, items and types by number."""

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    type: np.ndarray


def moments(rng: np.random.Generator, count: int, day: int) -> np.ndarray:
    """Sorted seconds within a day, more of them in the evening."""
    hour = rng.choice(24, count, p=_HOUR_RATE / _HOUR_RATE.sum())
    return np.sort(START + day * DAY + hour * 3600 + rng.integers(3600, size=count))


def impressions_of_day(market: Market, day: int, first_request: int) -> Impressions:
    """Simulates the requests of a day; request numbers start at `first_request`.

    The logit of a click is the sum of a bias, the taste match, the item's quality, the
    shopper's bias, and effects of hour, discount, price and position.
    """
    config, items, shoppers = market.config, market.items, market.shoppers
    rng = random(config, _REQUESTS, day)
    user = rng.permutation(market.shoppers_of_day(rng, config.requests_per_user))
    time = moments(rng, len(user), day)
    width = config.max_candidates
    item = market.candidates(rng, user, width, day)
    size = rng.integers(config.min_candidates, width + 1, size=len(user))
    shown = (np.arange(width) < size[:, None]) & _first_of_its_kind(item)

    hour = (time - START) % DAY // 3600
    discount = rng.choice([0.0, 0.1, 0.2, 0.3], item.shape, p=[0.7, 0.12, 0.1, 0.08])
    known = (
        (_BIAS + shoppers.bias[user] + _HOUR_EFFECT[hour])[:, None]
        + items.quality[item]
        - shoppers.price_sensitivity[user][:, None] * items.log_price[item]
        + _DISCOUNT * discount
    )
    shapes = shoppers.interests[user][:, None, :, 0]
    of_interest = (shapes == items.attributes[item, 0][:, :, None]).any(axis=2)
    believed = known + 2.0 + 0.8 * of_interest + rng.normal(0, 0.7, item.shape)

    order = np.argsort(np.where(shown, -believed, np.inf), axis=1, kind="stable")
    position = np.argsort(order, axis=1)
    logit = known + market.taste(np.broadcast_to(user[:, None], item.shape), item)
    probability = _sigmoid(logit - _POSITION * np.log1p(position))
    click = rng.random(item.shape) < probability

    request = first_request + np.arange(len(user))
    rows, columns = np.nonzero(np.take_along_axis(shown, order, axis=1))
    columns = order[rows, columns]
    return Impressions(
        user=user[rows],
        item=item[rows, columns],
        time=time[rows],
        click=click[rows, columns].astype(np.int8),
        request=request[rows],
        position=position[rows, columns].astype(np.int16),
        hour=hour[rows].astype(np.int8),
        discount=discount[rows, columns].astype(np.float32),
        base_score=_sigmoid(believed[rows, columns]).astype(np.float32),
        probability=probability[rows, columns],
    )


def events_of_day(
    market: Market, day: int, shown: Impressions, purchases: Events
) -> Events:
    """What shoppers do beside the clicks: views, carts, orders, in time order.

    Shoppers look at items of their taste outside of requests; what they clicked or
    looked at may go into the cart, and from there be ordered. `purchases` are orders
    that searches led to.
    """
    rng = random(market.config, _BROWSING, day)
    user = market.shoppers_of_day(rng, market.config.views_per_user)
    item = market.choose(rng, user, day)
    time = rng.permutation(moments(rng, len(user), day))
    clicked = shown.click == 1
    seen = Events(
        np.concatenate([user, shown.user[clicked]]),
        np.concatenate([item, shown.item[clicked]]),
        np.concatenate([time, shown.time[clicked]]),
        np.full(len(user) + int(clicked.sum()), VIEW, np.int8),
    )
    views = Events(*(column[: len(user)] for column in seen))
    carts = _some(rng, seen, 0.15, CART, 900)
    orders = _some(rng, carts, 0.4, ORDER, 7200)
    parts = zip(views, carts, orders, purchases, strict=True)
    events = Events(*(np.concatenate(part) for part in parts))
    order = np.argsort(events.time, kind="stable")
    return Events(*(column[order] for column in events))


def _some(
    rng: np.random.Generator, events: Events, share: float, type_: int, delay: int
) -> Events:
    """A share of the events is followed by one of another type, `delay` s at most."""
    kept = rng.random(len(events.time)) < share
    later = events.time[kept] + rng.integers(20, delay, size=int(kept.sum()))
    types = np.full(len(later), type_, np.int8)
    return Events(events.user[kept], events.item[kept], later, types)


def _first_of_its_kind(item: np.ndarray) -> np.ndarray:
    """Where an item stands for the first time in its row, bool `[n, width]`."""
    order = np.argsort(item, axis=1, kind="stable")
    ordered = np.take_along_axis(item, order, axis=1)
    first = np.ones(item.shape, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    result = np.empty_like(first)
    np.put_along_axis(result, order, first, axis=1)
    return result


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
