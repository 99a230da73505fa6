"""The two terms of semantic-aware contrastive learning, as stateless functions.

All vectors are expected L2-normalised, so that a dot product is a cosine.
"""

from typing import Any

from keras import ops

Tensor = Any

_MASKED = -1e9


def info_nce(
    query: Tensor,
    keys: Tensor,
    temperature: Tensor | float,
    positive: Tensor | None = None,
    mask: Tensor | None = None,
    bank: Tensor | None = None,
    bank_mask: Tensor | None = None,
) -> Tensor:
    """InfoNCE of each query against its positive, the batch and a memory bank.

    `-log(exp(q . k+ / tau) / sum_i exp(q . k_i / tau))`, the positive being one of the
    terms of the sum: eq. 1 as it is meant (as it is typeset, tau would cancel out).

    Args:
        query: float `[B, d]`.
        keys: float `[M, d]`, the keys that carry a gradient: the batch's items.
        temperature: tau, a positive scalar.
        positive: int `[B]`, the place of each query's positive in `keys`. `None`
            stands for row i of `keys` for query i.
        mask: bool `[B, M]`, True where a key is a negative of a query. False takes
            it out of the sum: absent keys, and further copies of the positive's item.
            The positive itself always counts.
        bank: float `[K, d]`, further negatives.
        bank_mask: bool `[B, K]`, as `mask`; False for empty slots.

    Returns:
        float32 `[B]`, the loss of each query.

    Example:
        >>> import numpy as np
        >>> vectors = np.eye(2, dtype="float32")
        >>> loss = info_nce(vectors, vectors, temperature=1.0)  # log(1 + 1/e)
        >>> [round(float(value), 4) for value in loss]
        [0.3133, 0.3133]
    """
    query = ops.cast(query, "float32")
    logits = similarities(query, keys) / temperature
    places = ops.arange(ops.shape(logits)[1])
    if positive is None:
        positive = ops.arange(ops.shape(logits)[0])
    is_positive = ops.equal(places[None, :], ops.cast(positive, places.dtype)[:, None])
    if mask is not None:
        mask = ops.logical_or(mask, is_positive)
    total = masked_logsumexp(logits, mask)
    if bank is not None:
        further = masked_logsumexp(similarities(query, bank) / temperature, bank_mask)
        total = ops.logsumexp(ops.stack([total, further], axis=-1), axis=-1)
    return total - ops.sum(ops.where(is_positive, logits, 0.0), axis=-1)


def triplet(
    query: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 0.1,
    mask: Tensor | None = None,
) -> Tensor:
    """Hinge on a hard negative: `max(0, m + q . k_neg - q . k_pos)`.

    The paper names the term but prints no formula; this is the usual one with the
    cosine distance. The hard negative is an item clicked but not bought.

    Args:
        query: float `[B, d]`.
        positive: float `[B, d]`.
        negative: float `[B, d]`.
        margin: m, by how much the positive has to be nearer.
        mask: bool `[B]`, False where a row has no negative; its loss is 0.

    Returns:
        float32 `[B]`.

    Example:
        >>> import numpy as np
        >>> query, bought, clicked = np.array([[[1, 0]], [[0, 1]], [[0.6, 0.8]]])
        >>> round(float(triplet(query, bought, clicked, margin=0.1)[0]), 4)
        0.7
    """
    query, positive, negative = (
        ops.cast(vectors, "float32") for vectors in (query, positive, negative)
    )
    difference = ops.sum(query * (negative - positive), axis=-1)
    loss = ops.maximum(margin + difference, 0.0)
    return loss if mask is None else ops.where(mask, loss, 0.0)


def similarities(left: Tensor, right: Tensor) -> Tensor:
    """All dot products: `[B, d]` and `[M, d]` give float32 `[B, M]`."""
    left, right = ops.cast(left, "float32"), ops.cast(right, "float32")
    return ops.matmul(left, ops.transpose(right))


def masked_logsumexp(logits: Tensor, mask: Tensor | None) -> Tensor:
    """`log sum exp` over the last axis, of the places where `mask` is True.

    A row without any such place gives a large negative number, not a NaN.
    """
    if mask is not None:
        logits = ops.where(mask, logits, _MASKED)
    return ops.logsumexp(logits, axis=-1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `values` `[B]` where `mask` is True; 0 where it never is.

    Example:
        >>> import numpy as np
        >>> float(masked_mean(np.array([2.0, 5.0]), np.array([True, False])))
        2.0
    """
    weights = ops.cast(mask, "float32")
    total = ops.sum(ops.where(mask, ops.cast(values, "float32"), 0.0))
    return total / ops.maximum(ops.sum(weights), 1.0)
