"""What a request holds: the sizes and names that models and signatures build from."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

MISSING_CODE, UNKNOWN_CODE, FIRST_CODE = 0, 1, 2


@dataclass(frozen=True)
class Feature:
    """One feature of a request or an item.

    Args:
        name: The column's name in the schema.
        kind: `"categorical"` (codes: 0 missing, 1 unknown or rare) or `"numeric"`.
        scope: `"user"`, `"context"` (one value a request), `"candidate"` (one a shown
            item) or `"item"` (gathered by catalog row inside the model).
        size: Number of codes, special and hashed ones included; 0 when numeric.
        mean: Of `squash(number)` in training, when numeric.
        deviation: Its standard deviation in training; never 0.
        hash_buckets: How many of the codes, the last ones, are hashed.

    Example:
        >>> Feature("hour", "categorical", "context", 26).tensor
        'context_hour'
    """

    name: str
    kind: str
    scope: str
    size: int
    mean: float = 0.0
    deviation: float = 1.0
    hash_buckets: int = 0

    @property
    def tensor(self) -> str:
        """The feature's name in request batches and signatures."""
        return f"{self.scope}_{self.name}"


def squash(numbers: np.ndarray) -> np.ndarray:
    """Numbers of any size to moderate ones: `sign(x) log(1 + |x|)`, float64.

    Example:
        >>> squash(np.array([0.0, -np.expm1(2)])).tolist()
        [0.0, -2.0]
    """
    numbers = np.asarray(numbers, np.float64)
    return np.sign(numbers) * np.log1p(np.abs(numbers))


@dataclass(frozen=True)
class RequestSpec:
    """Sizes and names of everything in a request batch.

    Args:
        users: Number of user codes (0 missing, 1 unknown).
        items: Number of embedding rows (0 fills, 1 rare or new).
        rows: Number of catalog rows (0 fills, 1 unknown).
        features: All features, in a fixed order.
        event_types: Types of history events; type `i` has code `i + 2`.
        labels: Names of the labels; models train on the first.
        max_history: Longest history L.
        max_items: Most candidates N.
        position: Whether requests carry positions.
        base_score: Whether requests carry a logged base score.
        weight: Whether candidates carry a weight, as some stand for several.
    """

    users: int
    items: int
    rows: int
    features: tuple[Feature, ...]
    event_types: tuple[str, ...]
    labels: tuple[str, ...]
    max_history: int
    max_items: int
    position: bool = False
    base_score: bool = False
    weight: bool = False

    def of_scope(self, *scopes: str) -> tuple[Feature, ...]:
        """The features of the given scopes, in order."""
        return tuple(f for f in self.features if f.scope in scopes)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, lists for tuples."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> "RequestSpec":
        """The inverse of `to_dict`."""
        features = tuple(Feature(**feature) for feature in config["features"])
        names = {key: tuple(config[key]) for key in ("event_types", "labels")}
        return cls(**{**config, **names, "features": features})
