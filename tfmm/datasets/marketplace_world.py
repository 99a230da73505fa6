"""Who sells what to whom: the marketplace's items, shoppers and their tastes."""

import dataclasses

import numpy as np

from tfmm.datasets.marketplace_config import MarketplaceConfig
from tfmm.datasets.marketplace_words import ATTRIBUTES, BRANDS

AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
REGIONS = ("north", "east", "south", "west")
INTERESTS = 2
_SHAPES, _COLOURS, _PATTERNS, _STYLES = (len(values) for values in ATTRIBUTES)
_ITEMS, _SHOPPERS = 1, 2
_WEIGHTS = np.array([0.8, 1.0, 1.0, 0.5])
_PAIR_BONUS = 0.8


@dataclasses.dataclass(frozen=True)
class Items:
    """All items; the arrays are `[I]` unless said otherwise.

    Args:
        ids: Item ids.
        attributes: int `[I, 4]`: shape, colour, pattern, style.
        brand: int.
        accent: int, number of the trim's colour.
        tone: int `[I, 3]`, RGB offset of the product's colour.
        price: float.
        log_price: float, standardised logarithm of the price within the shape.
        quality: float, part of the logit of a click.
        popularity: float, relative rate of being shown.
        born: int, first day on which the item is shown.
        listed: bool, whether the items table has it.
    """

    ids: np.ndarray
    attributes: np.ndarray
    brand: np.ndarray
    accent: np.ndarray
    tone: np.ndarray
    price: np.ndarray
    log_price: np.ndarray
    quality: np.ndarray
    popularity: np.ndarray
    born: np.ndarray
    listed: np.ndarray


@dataclasses.dataclass(frozen=True)
class Shoppers:
    """All shoppers; the arrays are `[U]` unless said otherwise.

    Args:
        ids: User ids.
        age: int, band.
        region: int.
        interests: int `[U, 2, 4]`: each a shape, colour, pattern, style.
        bias: float, part of the logit of a click.
        price_sensitivity: float, logit per unit of `log_price`.
        activity: float with mean 1, relative rate of requests.
    """

    ids: np.ndarray
    age: np.ndarray
    region: np.ndarray
    interests: np.ndarray
    bias: np.ndarray
    price_sensitivity: np.ndarray
    activity: np.ndarray


def random(config: MarketplaceConfig, *stream: int) -> np.random.Generator:
    """The generator of one part of the simulation: no part disturbs another."""
    return np.random.default_rng([config.seed, *stream])


def make_items(config: MarketplaceConfig) -> Items:
    """Draws the items; the last ones are the new ones, a few are not listed."""
    rng = random(config, _ITEMS)
    fresh = round(config.items * config.new_items)
    unlisted = round(config.items * config.log_only_items)
    count = config.items + unlisted
    old = count - fresh

    attributes = np.stack(
        [
            rng.choice(_SHAPES, count, p=_uneven(_SHAPES)),
            rng.choice(_COLOURS, count, p=_uneven(_COLOURS)),
            rng.choice(_PATTERNS, count, p=_uneven(_PATTERNS)),
            rng.integers(_STYLES, size=count),
        ],
        axis=1,
    )
    brand = rng.choice(len(BRANDS), count, p=_uneven(len(BRANDS)))
    log_price = rng.normal(size=count)
    level = rng.normal(3.2, 0.5, _SHAPES)[attributes[:, 0]]
    rank = np.concatenate([rng.permutation(old), rng.permutation(fresh)])
    quality = rng.normal(0, 0.3, count) + rng.normal(0, 0.15, len(BRANDS))[brand]
    born = np.zeros(count, np.int64)
    # Half of the new items are there on the first test day, the rest follow.
    later = rng.integers(config.test_days, size=fresh) * (rng.random(fresh) < 0.5)
    born[old:] = config.first_test_day + later
    listed = np.ones(count, bool)
    listed[rng.choice(old, unlisted, replace=False)] = False
    return Items(
        ids=names("p", count),
        attributes=attributes,
        brand=brand,
        accent=rng.integers(5, size=count),
        tone=rng.integers(-18, 19, size=(count, 3)),
        price=np.round(np.exp(level + 0.35 * log_price), 2),
        log_price=log_price,
        quality=quality - 0.1 * np.log((rank + 5) / old),
        popularity=(rank + 5.0) ** -0.85,
        born=born,
        listed=listed,
    )


def make_shoppers(config: MarketplaceConfig) -> Shoppers:
    """Draws the shoppers.

    A shopper has two interests. Her favourite colour and pattern recur in them, so
    that what she liked in one shape says something about another; the shapes depend
    on age.
    """
    rng = random(config, _SHOPPERS)
    count = config.users
    age = rng.integers(len(AGES), size=count)
    of_age = rng.dirichlet(np.full(_SHAPES, 2.0), len(AGES)).cumsum(axis=1)
    draws = rng.random((count, INTERESTS))
    shape = (draws[:, :, None] > of_age[age][:, None, :]).sum(axis=2)
    interests = np.stack(
        [
            np.minimum(shape, _SHAPES - 1),
            _favourite(rng, count, _COLOURS, 0.6),
            _favourite(rng, count, _PATTERNS, 0.6),
            _favourite(rng, count, _STYLES, 0.8),
        ],
        axis=2,
    )
    activity = rng.lognormal(0, 0.5, count)
    return Shoppers(
        ids=names("u", count),
        age=age,
        region=rng.integers(len(REGIONS), size=count),
        interests=interests,
        bias=rng.normal(0, 0.4, count),
        price_sensitivity=rng.uniform(0, 0.35, count),
        activity=activity / activity.mean(),
    )


def match(attributes: np.ndarray, interests: np.ndarray) -> np.ndarray:
    """How well items meet shoppers' tastes: the best of a shopper's interests counts.

    An interest scores 0.8 for the same shape, 1.0 for the same colour (0.4 for a
    neighbouring one), 1.0 for the same pattern, 0.5 for the same style, and 0.8 more
    when colour and pattern are both the same.

    Args:
        attributes: int `[n, 4]`.
        interests: int `[n, K, 4]`.

    Returns:
        float64 `[n]`.

    Example:
        >>> item, taste = np.array([[0, 1, 2, 0]]), np.array([[[5, 1, 2, 1]]])
        >>> round(float(match(item, taste)[0]), 6)
        2.8
    """
    same = (interests == attributes[:, None, :]).astype(float)
    colour = _COLOUR_LIKENESS[interests[:, :, 1], attributes[:, None, 1]]
    score = same[:, :, 0] * _WEIGHTS[0] + colour * _WEIGHTS[1]
    score += same[:, :, 2] * _WEIGHTS[2] + same[:, :, 3] * _WEIGHTS[3]
    score += _PAIR_BONUS * same[:, :, 1] * same[:, :, 2]
    return score.max(axis=1)


def names(prefix: str, count: int) -> np.ndarray:
    """Ids such as `p000123`.

    Example:
        >>> names("p", 2).tolist()
        ['p000000', 'p000001']
    """
    return np.array([f"{prefix}{i:06d}" for i in range(count)])


def _uneven(count: int) -> np.ndarray:
    weight = 1 / (np.arange(count) + 6.0)
    return weight / weight.sum()


def _favourite(
    rng: np.random.Generator, count: int, values: int, share: float
) -> np.ndarray:
    anything = rng.integers(values, size=(count, INTERESTS))
    favourite = rng.integers(values, size=(count, 1))
    return np.where(rng.random((count, INTERESTS)) < share, favourite, anything)


def _colour_likeness() -> np.ndarray:
    """Red to pink are a circle of eight; brown is next to orange; grey to nothing."""
    likeness = np.eye(_COLOURS)
    circle = np.arange(8)
    likeness[circle, (circle + 1) % 8] = likeness[(circle + 1) % 8, circle] = 0.4
    likeness[1, 8] = likeness[8, 1] = 0.4
    return likeness


_COLOUR_LIKENESS = _colour_likeness()
