"""The two terms of semantic-aware contrastive learning, as stateless functions.

All vectors are expected L2-normalised, so that a dot product is a cosine.
"""

from typing import Any

from keras import ops

from tfmm.errors import TfmmError
from tfmm.pretrain.chunked_keys import chunked_nce
from tfmm.pretrain.streaming import MASKED, bank_logsumexp, similarities

Tensor = Any


def info_nce(
    query: Tensor,
    keys: Tensor,
    temperature: Tensor | float,
    positive: Tensor | None = None,
    mask: Tensor | None = None,
    further: Tensor | None = None,
    bank: Tensor | None = None,
    bank_groups: Tensor | None = None,
    groups: Tensor | None = None,
    chunk_size: int | None = None,
) -> Tensor:
    """InfoNCE of each query against its positives, the batch and a memory bank.

    The mean over the positives p of
    `-log(exp(q . p / tau) / (exp(q . p / tau) + sum_n exp(q . n / tau)))`, n being the
    negatives: eq. 1 as it is meant (as it is typeset, tau would cancel out). A query
    without any negative has the loss 0.

    Args:
        query: float `[B, d]`.
        keys: float `[M, d]`, the keys that carry a gradient: the batch's items.
        temperature: tau, a positive scalar.
        positive: int `[B]`, the place of each query's own item in `keys`. `None`
            stands for row i of `keys` for query i.
        mask: bool `[B, M]`, True where a key is a negative of a query. `None` makes
            all of them negatives. Positives never are.
        further: bool `[B, M]`, True where a key is a further positive of a query.
        bank: float `[K, d]`, further negatives; no gradient flows into them.
        bank_groups: int32 `[K]`, the group of each key of the bank, 0 in empty slots.
            `None` makes every key a negative of every query.
        groups: int32 `[B, E]`, groups of the bank that are no negatives of a query:
            its own item's and its further positives'; 0 fills.
        chunk_size: Keys and bank are walked in blocks of so many keys, which are
            looked at again for the gradient: the same numbers in less memory. `None`
            looks at all keys of the batch at once.

    Returns:
        float32 `[B]`, the loss of each query.

    Raises:
        TfmmError: If `groups` is given without `bank_groups`, or `chunk_size` < 1.

    Example:
        >>> import numpy as np
        >>> vectors = np.eye(2, dtype="float32")
        >>> loss = info_nce(vectors, vectors, temperature=1.0)  # log(1 + 1/e)
        >>> [round(float(value), 4) for value in loss]
        [0.3133, 0.3133]
    """
    _check(bank, bank_groups, groups, chunk_size)
    query, keys = ops.cast(query, "float32"), ops.cast(keys, "float32")
    temperature = ops.cast(temperature, "float32")
    others = None
    if bank is not None:
        others = bank_logsumexp(
            query, bank, temperature, bank_groups, groups, chunk_size
        )
    if positive is None:
        positive = ops.arange(ops.shape(query)[0])
    positive = ops.cast(positive, "int32")
    if chunk_size is not None:
        return chunked_nce(
            query, keys, temperature, others, positive, mask, further, chunk_size
        )
    logits = similarities(query / temperature, keys)
    positives = ops.equal(ops.arange(ops.shape(keys)[0])[None], positive[:, None])
    if further is not None:
        positives = ops.logical_or(positives, further)
    negatives = ops.logical_not(positives)
    if mask is not None:
        negatives = ops.logical_and(negatives, mask)
    total = masked_logsumexp(logits, negatives)
    if others is not None:
        total = ops.logsumexp(ops.stack([total, others], axis=-1), axis=-1)
    losses = ops.where(positives, ops.softplus(total[:, None] - logits), 0.0)
    return ops.sum(losses, axis=1) / ops.sum(ops.cast(positives, "float32"), axis=1)


def bank_nce(
    query: Tensor,
    positive: Tensor,
    temperature: Tensor | float,
    bank: Tensor,
    bank_groups: Tensor | None = None,
    groups: Tensor | None = None,
    chunk_size: int | None = None,
) -> Tensor:
    """InfoNCE of each query against a memory bank alone (eq. 1 as MoCo has it).

    `-log(exp(q . k+ / tau) / (exp(q . k+ / tau) + sum_bank exp(q . k_j / tau)))`

    Args:
        query: float `[B, d]`.
        positive: float `[B, d]`, each query's positive, encoded by the same tower as
            the bank's keys.
        temperature: tau, a positive scalar.
        bank: float `[K, d]`; as of `info_nce`, like all that follows.
        bank_groups: int32 `[K]`.
        groups: int32 `[B, E]`.
        chunk_size: Keys that are looked at in one go.

    Returns:
        float32 `[B]`; 0 where the bank holds no negative.

    Example:
        >>> import numpy as np
        >>> query, bank = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
        >>> round(float(bank_nce(query, query, 1.0, bank)[0]), 4)  # log(1 + 1/e)
        0.3133
    """
    _check(bank, bank_groups, groups, chunk_size)
    query, positive = ops.cast(query, "float32"), ops.cast(positive, "float32")
    temperature = ops.cast(temperature, "float32")
    others = bank_logsumexp(query, bank, temperature, bank_groups, groups, chunk_size)
    return ops.softplus(others - ops.sum(query * positive, axis=-1) / temperature)


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


def masked_logsumexp(logits: Tensor, mask: Tensor | None) -> Tensor:
    """`log sum exp` over the last axis, of the places where `mask` is True.

    A row without any such place gives a large negative number, not a NaN.
    """
    if mask is not None:
        logits = ops.where(mask, logits, MASKED)
    return ops.logsumexp(logits, axis=-1)


def _check(bank: Any, bank_groups: Any, groups: Any, chunk_size: int | None) -> None:
    if groups is not None and bank is not None and bank_groups is None:
        raise TfmmError(
            "`groups` says what of the bank is no negative, and needs to know the "
            "groups of the bank. Received: groups without bank_groups. "
            "Pass `bank_groups=`, e.g. `MemoryBank.groups`."
        )
    if chunk_size is not None and chunk_size < 1:
        raise TfmmError(
            f"A chunk must hold at least one key. Received: chunk_size={chunk_size}. "
            "Choose a few hundred, or None for all at once."
        )
