"""The small layers of the towers."""

from typing import Any

import keras
from keras import ops

from tfmm.layers.base import Layer


@keras.saving.register_keras_serializable(package="tfmm")
class TokenFeatures(Layer):
    """Token ids to the named inputs that keras-hub's text backbones take.

    Args:
        pad_id: The id that fills.
        keys: Which of `token_ids`, `padding_mask` and `segment_ids` to give.

    Input shape:
        int `[B, T]`.

    Output shape:
        Dict of int32 `[B, T]`.

    Example:
        >>> features = TokenFeatures()(ops.array([[5, 7, 0]]))
        >>> ops.convert_to_numpy(features["padding_mask"]).tolist()
        [[1, 1, 0]]
    """

    def __init__(
        self,
        pad_id: int = 0,
        keys: tuple[str, ...] = ("token_ids", "padding_mask", "segment_ids"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pad_id = pad_id
        self.keys = tuple(keys)

    def call(self, tokens: Any) -> dict[str, Any]:
        tokens = ops.cast(tokens, "int32")
        features = {
            "token_ids": tokens,
            "padding_mask": ops.cast(ops.not_equal(tokens, self.pad_id), "int32"),
            "segment_ids": ops.zeros_like(tokens),
        }
        return {key: features[key] for key in self.keys}

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "pad_id": self.pad_id, "keys": list(self.keys)}


@keras.saving.register_keras_serializable(package="tfmm")
class MaskedMean(Layer):
    """Mean over the positions whose mask is 1; zeros where there is none.

    Input shape:
        `[B, T, d]` and a mask `[B, T]`.

    Output shape:
        `[B, d]`.

    Example:
        >>> x = ops.array([[[1.0], [3.0], [9.0]]])
        >>> ops.convert_to_numpy(MaskedMean()(x, ops.array([[1, 1, 0]]))).tolist()
        [[2.0]]
    """

    def call(self, x: Any, mask: Any) -> Any:
        weights = ops.expand_dims(ops.cast(mask, x.dtype), -1)
        total = ops.sum(ops.where(weights > 0, x, ops.zeros_like(x)), axis=1)
        return total / ops.maximum(ops.sum(weights, axis=1), 1)


@keras.saving.register_keras_serializable(package="tfmm")
class AbsentVector(Layer):
    """A learned vector in the rows that have none of their own.

    Input shape:
        `[B, d]` and bool `[B]`, which rows have a vector.

    Output shape:
        `[B, d]`.

    Example:
        >>> x = ops.array([[1.0], [float("nan")]])
        >>> ops.convert_to_numpy(AbsentVector()(x, ops.array([True, False]))).tolist()
        [[1.0], [0.0]]
    """

    def build(self, vector_shape: Any, present_shape: Any = None) -> None:
        self.absent = self.add_weight(
            shape=(vector_shape[-1],), initializer="zeros", name="absent"
        )

    def call(self, vector: Any, present: Any) -> Any:
        there = ops.expand_dims(ops.cast(present, "bool"), -1)
        return ops.where(there, vector, ops.cast(self.absent, vector.dtype))

    def compute_output_shape(self, vector_shape: Any, present_shape: Any = None) -> Any:
        return vector_shape


@keras.saving.register_keras_serializable(package="tfmm")
class UnitVector(Layer):
    """Division by the length, whatever the numbers' size; zeros stay zeros.

    Numbers are divided by the largest first, so that no square overflows or vanishes,
    as those of 1e30 and 1e-30 do in `keras.layers.UnitNormalization`. Below 1e-37,
    where float32 has no full digits any more, TensorFlow takes them for zeros.

    Input shape:
        `[B, d]`.

    Output shape:
        `[B, d]`.

    Example:
        >>> x = ops.array([[3e30, 4e30], [3e-30, 4e-30], [0.0, 0.0]])
        >>> ops.convert_to_numpy(UnitVector()(x)).round(3).tolist()
        [[0.6..., 0.8...], [0.6..., 0.8...], [0.0, 0.0]]
    """

    def call(self, x: Any) -> Any:
        # Lengths divide any scale away again, so that it has no gradient.
        largest = ops.stop_gradient(ops.max(ops.abs(x), axis=-1, keepdims=True))
        return ops.normalize(ops.divide_no_nan(x, largest), axis=-1)
