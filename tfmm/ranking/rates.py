"""Learning rates by part of a model, as multiples of the optimizer's rate."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfmm.errors import TfmmError

EMBEDDINGS = "embeddings"


def is_table(variable: Any) -> bool:
    """Whether a variable is an embedding table, ours or `keras.layers.Embedding`'s.

    Args:
        variable: A `keras.Variable`.

    Example:
        >>> import keras
        >>> layer = keras.layers.Embedding(4, 2)
        >>> layer.build()
        >>> is_table(layer.weights[0])
        True
    """
    # Keras gives its tables no mark but this name.
    return getattr(variable, "tfmm_table", False) or variable.name == "embeddings"


def checked_rates(rates: Mapping[str, float] | None) -> dict[str, float]:
    """The multiples as plain numbers.

    Args:
        rates: From a part to its multiple; None for no parts.

    Raises:
        TfmmError: A multiple is negative or no number.

    Example:
        >>> checked_rates({"embeddings": 10})
        {'embeddings': 10.0}
    """
    rates = dict(rates or {})
    wrong = {
        part: rate
        for part, rate in rates.items()
        if not isinstance(rate, int | float) or not 0 <= rate < float("inf")
    }
    if wrong:
        raise TfmmError(
            f"`rates` are multiples of the learning rate. Received: {wrong}. Give 0 "
            "or more, such as 10.0."
        )
    return {part: float(rate) for part, rate in rates.items()}


def multiples(variables: Sequence[Any], rates: Mapping[str, float]) -> list[float]:
    """Every variable's multiple; the innermost layer named counts, then the table.

    Args:
        variables: `keras.Variable`s, whose paths hold the names of their layers.
        rates: From `"embeddings"` or a layer's name to a multiple.

    Returns:
        One multiple a variable, 1.0 where `rates` say nothing.

    Raises:
        TfmmError: A part that no variable belongs to.

    Example:
        >>> import keras
        >>> layer = keras.layers.Embedding(4, 2, name="users")
        >>> layer.build()
        >>> multiples(layer.weights, {"embeddings": 10.0})
        [10.0]
        >>> multiples(layer.weights, {"embeddings": 10.0, "users": 2.0})
        [2.0]
    """
    if not rates:
        return [1.0] * len(variables)
    parts = [_parts(variable) for variable in variables]
    known = {name for names in parts for name in names}
    if unknown := set(rates) - known:
        raise TfmmError(
            f"`rates` names parts that have nothing to train. Received: "
            f"{sorted(unknown)}. There are: {', '.join(sorted(known)) or 'none'}."
        )
    return [
        next((rates[name] for name in names if name in rates), 1.0) for names in parts
    ]


def _parts(variable: Any) -> list[str]:
    layers = variable.path.split("/")[-2::-1]
    return [*layers, EMBEDDINGS] if is_table(variable) else layers
