"""Counts to masks; padding is cut off here, before anything is gathered."""

from typing import Any

from keras import ops


def valid_mask(counts: Any, length: int | Any) -> Any:
    """The positions below each row's count.

    Args:
        counts: int tensor `[B]`.
        length: L, an int or a scalar int tensor.

    Returns:
        bool tensor `[B, L]`.

    Example:
        >>> ops.convert_to_numpy(valid_mask([1, 0], 2)).tolist()
        [[True, False], [False, False]]
    """
    counts = ops.convert_to_tensor(counts)
    return ops.arange(length, dtype=counts.dtype)[None, :] < counts[:, None]


def keep_valid(values: Any, mask: Any) -> Any:
    """Sets everything outside the mask to 0, whatever it holds (NaN too).

    Args:
        values: tensor `[B, L]` or `[B, L, d]` of any dtype.
        mask: bool tensor `[B, L]`.

    Returns:
        Tensor of the shape and dtype of `values`.

    Example:
        >>> ids = keep_valid([[7, -99]], valid_mask([1], 2))
        >>> ops.convert_to_numpy(ids).tolist()
        [[7, 0]]
    """
    values = ops.convert_to_tensor(values)
    for _ in range(len(values.shape) - len(mask.shape)):
        mask = mask[..., None]
    return ops.where(mask, values, ops.zeros((), dtype=values.dtype))


def pair_mask(history_mask: Any, candidate_mask: Any) -> Any:
    """The (candidate, history position) pairs of which both sides are usable.

    Args:
        history_mask: bool tensor `[B, L]`.
        candidate_mask: bool tensor `[B, N]`.

    Returns:
        bool tensor `[B, N, L]`.

    Example:
        >>> mask = pair_mask(valid_mask([1], 2), valid_mask([2], 2))
        >>> ops.convert_to_numpy(mask).tolist()
        [[[True, False], [True, False]]]
    """
    return ops.logical_and(candidate_mask[:, :, None], history_mask[:, None, :])


def masked_mean(values: Any, mask: Any) -> Any:
    """Mean over the valid positions; zeros where there are none.

    Args:
        values: float tensor `[B, L, d]`, finite.
        mask: bool tensor `[B, L]`.

    Returns:
        float tensor `[B, d]`.

    Example:
        >>> mean = masked_mean(ops.ones((1, 3, 1)), valid_mask([2], 3))
        >>> ops.convert_to_numpy(mean).tolist()
        [[1.0]]
    """
    weights = ops.cast(mask, values.dtype)
    total = ops.sum(values * weights[..., None], axis=1)
    return total / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1.0)
