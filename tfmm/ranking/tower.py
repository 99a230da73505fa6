"""The ranker's MLP, whose first layer treats a request's part once."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer


class Tower(Layer):
    """MLP from request inputs and candidate inputs to linear logits per candidate.

    The first layer is `W_r r + W_c c + b`: the part of the request (user, context,
    history) is multiplied once and added to every candidate's.

    Args:
        hidden: Units of the hidden layers.
        activation: Their activation. Defaults to `"relu"`.
        heads: int. Logits per candidate. Defaults to 1.

    Input shape:
        request float `[B, r]`, candidates float `[B, N, c]`.

    Output shape:
        float32 logits `[B, N, heads]`.

    Raises:
        TfmmError: No hidden layer.

    Example:
        >>> Tower((8, 4))(ops.ones((2, 3)), ops.ones((2, 5, 7))).shape == (2, 5, 1)
        True
    """

    def __init__(
        self,
        hidden: Sequence[int],
        activation: str = "relu",
        heads: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not hidden:
            raise TfmmError(
                "The tower needs a hidden layer. Received: hidden=(). Give at least "
                "one width, for example (128, 64)."
            )
        policy = self.dtype_policy
        first, *rest = hidden
        self.activation = keras.activations.get(activation)
        self.request_layer = keras.layers.Dense(first, use_bias=False, dtype=policy)
        self.candidate_layer = keras.layers.Dense(first, dtype=policy)
        self.dense_layers = [
            keras.layers.Dense(units, activation, dtype=policy) for units in rest
        ]
        self.logit_layer = keras.layers.Dense(heads, dtype=policy)

    def build(self, request_shape: Any, candidates_shape: Any) -> None:
        self.request_layer.build(request_shape)
        self.candidate_layer.build(candidates_shape)
        width = self.candidate_layer.units
        for layer in (*self.dense_layers, self.logit_layer):
            layer.build((*candidates_shape[:-1], width))
            width = layer.units
        self.built = True

    def call(self, request: Any, candidates: Any) -> Any:
        hidden = self.request_layer(request)[:, None] + self.candidate_layer(candidates)
        hidden = self.activation(hidden)
        for layer in self.dense_layers:
            hidden = layer(hidden)
        return ops.cast(self.logit_layer(hidden), "float32")
