"""One vector of a history of any length: pooling over what is valid."""

from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer
from tfmm.layers.masks import keep_valid, masked_mean


def masked_sum(values: Any, mask: Any) -> Any:
    """Sum over the valid positions; zeros where there are none.

    Args:
        values: float tensor `[B, L, d]`, finite where valid.
        mask: bool tensor `[B, L]`.

    Returns:
        float tensor `[B, d]`.

    Example:
        >>> total = masked_sum([[[1.0], [2.0], [9]]], ops.array([[True, True, False]]))
        >>> ops.convert_to_numpy(total).tolist()
        [[3.0]]
    """
    return ops.sum(keep_valid(values, mask), axis=1)


def masked_sqrtn(values: Any, mask: Any) -> Any:
    """Sum over the n valid positions divided by sqrt(n); zeros where there are none.

    The variance of a sum of n independent vectors no longer grows with n, while a
    longer history still counts for more than in a mean.

    Args:
        values: float tensor `[B, L, d]`, finite where valid.
        mask: bool tensor `[B, L]`.

    Returns:
        float tensor `[B, d]`.

    Example:
        >>> pooled = masked_sqrtn(ops.ones((1, 4, 1)), ops.ones((1, 4), "bool"))
        >>> ops.convert_to_numpy(pooled).tolist()
        [[2.0]]
    """
    total = masked_sum(values, mask)
    count = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
    return total / ops.cast(ops.sqrt(ops.maximum(count, 1.0)), total.dtype)


def masked_max(values: Any, mask: Any) -> Any:
    """Largest valid value of each component; zeros where nothing is valid.

    Args:
        values: float tensor `[B, L, d]`, finite where valid.
        mask: bool tensor `[B, L]`.

    Returns:
        float tensor `[B, d]`.

    Example:
        >>> top = masked_max([[[-3.0], [-2.0], [9]]], ops.array([[True, True, False]]))
        >>> ops.convert_to_numpy(top).tolist()
        [[-2.0]]
    """
    values = ops.convert_to_tensor(values)
    mask = ops.convert_to_tensor(mask)
    lowest = ops.convert_to_tensor(-float("inf"), values.dtype)
    top = ops.max(ops.where(mask[..., None], values, lowest), axis=1)
    return keep_valid(top, ops.any(mask, axis=1))


POOLINGS = {
    "mean": masked_mean,
    "sum": masked_sum,
    "max": masked_max,
    "sqrtn": masked_sqrtn,
}


@keras.saving.register_keras_serializable(package="tfmm")
class MaskedPooling(Layer):
    """Pools a history to one vector; padding, NaN included, never changes it.

    Args:
        mode: `"mean"`, `"sum"`, `"max"` or `"sqrtn"` (sum / sqrt(n)). Defaults to
            `"mean"`.

    Input shape:
        values float `[B, L, d]`, mask bool `[B, L]`.

    Output shape:
        float `[B, d]`; zeros where no position is valid.

    Example:
        >>> pooled = MaskedPooling("max")(
        ...     ops.array([[[1.0, 4.0], [2.0, 3.0]]]), ops.ones((1, 2), "bool")
        ... )
        >>> ops.convert_to_numpy(pooled).tolist()
        [[2.0, 4.0]]
    """

    def __init__(self, mode: str = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in POOLINGS:
            raise TfmmError(
                f"A history cannot be pooled like this. Received: mode={mode!r}. "
                f"Choose one of {', '.join(POOLINGS)}."
            )
        self.mode = mode

    def call(self, values: Any, mask: Any) -> Any:
        return POOLINGS[self.mode](keep_valid(values, mask), mask)

    def compute_output_shape(self, values_shape: Any, mask_shape: Any = None) -> Any:
        return (values_shape[0], *values_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}
