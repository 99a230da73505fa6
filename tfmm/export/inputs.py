"""Names and shapes of the inputs and outputs of signatures."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tfmm.records.spec import Feature, RequestSpec


@dataclass(frozen=True)
class Input:
    """One input of a signature.

    Args:
        name: Name of the tensor.
        dtype: `"string"`, `"float32"`, `"int64"` or `"int32"`.
        rank: 1 for `[B]`, 2 for `[B, L]` and `[B, N]`.
        dimension: d of a vector, the last axis after these; 0 for none.
    """

    name: str
    dtype: str
    rank: int
    dimension: int = 0

    @property
    def shape(self) -> list[int | None]:
        """The tensor's shape; None where any length is taken."""
        return [None] * self.rank + [self.dimension] * bool(self.dimension)

    @property
    def of_candidate(self) -> bool:
        """Whether `rank` takes one value per candidate."""
        return self.name in ("item_id", "base_score") or self.name.startswith(
            "candidate_"
        )

    @property
    def numpy_dtype(self) -> np.dtype:
        """The dtype of the input as a numpy array; `object` for strings."""
        return np.dtype(object if self.dtype == "string" else self.dtype)


def signature_inputs(
    spec: RequestSpec, id_type: str, base_score: bool = False
) -> tuple[Input, ...]:
    """The inputs of the `rank` signature, in a fixed order.

    Args:
        spec: The ranker's request spec.
        id_type: `"int64"` or `"string"`, as the item index says.
        base_score: Whether the ranker needs a `base_score` per candidate.

    Example:
        >>> spec = RequestSpec(3, 4, 5, (), ("click",), ("click",), 10, 10)
        >>> [i.name for i in signature_inputs(spec, "string")]
        ... # doctest: +NORMALIZE_WHITESPACE
        ['user_key', 'history_item_id', 'history_type', 'n_history', 'item_id',
         'n_items']
    """
    inputs = [Input("user_key", "int64", 1)]
    inputs += [_of_feature(f, 1) for f in spec.of_scope("user", "context")]
    inputs.append(Input("history_item_id", id_type, 2))
    if spec.event_types:
        inputs.append(Input("history_type", "string", 2))
    inputs += [Input("n_history", "int32", 1), Input("item_id", id_type, 2)]
    inputs += [_of_feature(f, 2) for f in spec.of_scope("candidate")]
    if base_score:
        inputs.append(Input("base_score", "float32", 2))
    return (*inputs, Input("n_items", "int32", 1))


def score_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The names of a ranker's scores: `score` for the first label it was trained on.

    Args:
        labels: The labels, in order.

    Example:
        >>> score_names(["click", "order"])
        ('score', 'score_order')
    """
    _, *others = labels
    return ("score", *(f"score_{label}" for label in others))


def _of_feature(feature: Feature, rank: int) -> Input:
    dtype = "string" if feature.kind == "categorical" else "float32"
    return Input(feature.tensor, dtype, rank)
