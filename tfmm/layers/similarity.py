"""Cosines between candidates and history: computed once, shared by all consumers."""

from typing import Any

import keras
from keras import ops

from tfmm.layers.base import Layer
from tfmm.layers.masks import pair_mask


def inverse_norms(vectors: Any) -> Any:
    """1 / ||v|| in float32; 0 for a zero vector.

    Args:
        vectors: tensor `[..., d]` of any numeric dtype.

    Returns:
        float32 tensor `[...]`.

    Example:
        >>> ops.convert_to_numpy(inverse_norms([[3, 4], [0, 0]])).round(3).tolist()
        [0.20000000298023224, 0.0]
    """
    vectors = ops.cast(vectors, "float32")
    squared = ops.sum(vectors * vectors, axis=-1)
    positive = squared > 0
    # Not rsqrt, whose last bit depends on the batch's shape.
    return ops.where(positive, 1.0 / ops.sqrt(ops.where(positive, squared, 1.0)), 0.0)


def cosine_similarity(
    candidates: Any,
    history: Any,
    candidate_inverse_norm: Any = None,
    history_inverse_norm: Any = None,
) -> Any:
    """Cosine of every candidate with every history item.

    `s = (c . h) * (1 / ||c||) * (1 / ||h||)`. For int8 codes the dot product is exact
    in float32 (up to d = 1040), TF32 included, so a similarity falls into the same
    tier on every device and for every batch shape. Normalising first would round.

    Args:
        candidates: int8 or float tensor `[B, N, d]`.
        history: int8 or float tensor `[B, L, d]`.
        candidate_inverse_norm: float32 `[B, N]`. Computed when None.
        history_inverse_norm: float32 `[B, L]`. Computed when None.

    Returns:
        float32 tensor `[B, N, L]`.

    Example:
        >>> s = cosine_similarity([[[3, 4]]], [[[3, 4], [4, -3], [0, 0]]])
        >>> ops.convert_to_numpy(s).round(3).tolist()
        [[[1.0, 0.0, 0.0]]]
    """
    candidates = ops.cast(candidates, "float32")
    history = ops.cast(history, "float32")
    if candidate_inverse_norm is None:
        candidate_inverse_norm = inverse_norms(candidates)
    if history_inverse_norm is None:
        history_inverse_norm = inverse_norms(history)
    dot = ops.matmul(candidates, ops.swapaxes(history, 1, 2))
    return dot * candidate_inverse_norm[..., None] * history_inverse_norm[:, None, :]


@keras.saving.register_keras_serializable(package="tfmm")
class HistorySimilarity(Layer):
    """Cosines of candidates with history and the pairs for which they mean something.

    A shell over `cosine_similarity` and `pair_mask`; it always computes in float32.

    Input shape:
        candidates int8/float `[B, N, d]` or `[B, d]`; history int8/float `[B, L, d]`;
        candidate_mask bool `[B, N]` or `[B]` and history_mask bool `[B, L]`, true
        where the item is valid and has a vector; inverse norms float32 or None.

    Output:
        (float32 similarity `[B, N, L]`, bool mask `[B, N, L]`), without the N axis
        for candidates `[B, d]`.

    Example:
        >>> import numpy as np
        >>> history = np.array([[[1, 0], [0, 1]]], "int8")
        >>> similarity, mask = HistorySimilarity()(
        ...     np.array([[2, 0]], "int8"), history,
        ...     candidate_mask=np.array([True]),
        ...     history_mask=np.array([[True, False]]),
        ... )
        >>> similarity.shape == mask.shape == (1, 2)
        True
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)

    def call(
        self,
        candidates: Any,
        history: Any,
        candidate_mask: Any,
        history_mask: Any,
        candidate_inverse_norm: Any = None,
        history_inverse_norm: Any = None,
    ) -> tuple[Any, Any]:
        single = len(candidates.shape) == 2
        if single:
            candidates = ops.expand_dims(candidates, 1)
            candidate_mask = ops.expand_dims(candidate_mask, 1)
            if candidate_inverse_norm is not None:
                candidate_inverse_norm = ops.expand_dims(candidate_inverse_norm, 1)
        similarity = cosine_similarity(
            candidates, history, candidate_inverse_norm, history_inverse_norm
        )
        mask = pair_mask(history_mask, candidate_mask)
        return (similarity[:, 0], mask[:, 0]) if single else (similarity, mask)
