"""Interests by name, for recipes and constructors."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import keras

from tfmm.errors import TfmmError
from tfmm.ranking.interests.make import MakeInterest
from tfmm.ranking.make import MAKE

_BY_NAME = {
    "din": "DinInterest",
    "vector": "VectorInterest",
    "simscore": "SimScoreInterest",
    "simtier": "SimTierInterest",
    "semantic_attention": "SemanticAttentionInterest",
    "history_search": "HistorySearchInterest",
}
NAMES = tuple(_BY_NAME)


def interest_layer(interest: Any) -> keras.layers.Layer:
    """The layer for a name, a name with options, a trained MAKE, or one's own layer.

    Args:
        interest: One of `NAMES`; a mapping of one such name to its options; a `MAKE`;
            or a layer from a ranker's views to `[B, N, k]`
            (`tfmm.ranking.interests.Interest`).

    Raises:
        TfmmError: Anything else, or options that the interest does not have.

    Example:
        >>> interest_layer({"simtier": {"tiers": 10}}).tiers
        10
    """
    if isinstance(interest, MAKE):
        return MakeInterest(interest)
    if isinstance(interest, keras.layers.Layer):
        return interest
    if isinstance(interest, str):
        return _named(interest, {})
    if isinstance(interest, Mapping) and len(interest) == 1:
        name, options = next(iter(interest.items()))
        return _named(name, options or {})
    raise _unknown(interest)


def name_of(interest: keras.layers.Layer) -> str:
    """The name that an interest goes by, a foreign layer's own.

    Args:
        interest: A layer of `interest_layer`.

    Example:
        >>> name_of(interest_layer("simtier"))
        'simtier'
    """
    if isinstance(interest, MakeInterest):
        return "make"
    kind = type(interest).__name__
    found = (name for name, layer in _BY_NAME.items() if layer == kind)
    return next(found, interest.name)


def _named(name: str, options: Mapping[str, Any]) -> keras.layers.Layer:
    if name not in _BY_NAME:
        raise _unknown(name)
    # Imported here: a search asks other interests, by this very function.
    module = import_module(f"tfmm.ranking.interests.{name}")
    try:
        return getattr(module, _BY_NAME[name])(**{"name": name, **options})
    except TfmmError:
        raise
    except (TypeError, ValueError) as error:
        raise TfmmError(
            f"The interest {name!r} does not have these options. Received: "
            f"{dict(options)} ({error}). See its documentation."
        ) from error


def _unknown(interest: Any) -> TfmmError:
    return TfmmError(
        f"This is no interest. Received: {interest!r}. Give one of "
        f"{', '.join(map(repr, NAMES))}, one with options as {{name: options}}, a "
        "trained MAKE, or a Keras layer from the ranker's views to [B, N, k]."
    )
