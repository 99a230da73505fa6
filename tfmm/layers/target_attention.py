"""DIN target attention without the [B, N, L, 4d] tensor."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer

NORMALIZATIONS = ("softmax", "sigmoid")


def interaction_hidden(
    candidates: Any,
    history: Any,
    query_kernel: Any,
    key_kernel: Any,
    cross_kernel: Any,
    bias: Any = None,
) -> Any:
    """First dense layer of DIN's attention over `[q, h, q - h, q * h]`, split.

    `W [q, h, q-h, q*h] = (W1 + W3) q + (W2 - W3) h + W4 (q * h)`, so three `[d, u]`
    kernels span the same functions. For one candidate that is linear in `[h, 1]`: all
    is one product of the history with a kernel per candidate, and nothing is added to
    the `[B, L, N, u]` tensor afterwards.

    Args:
        candidates: float tensor q `[B, N, d]`.
        history: float tensor h `[B, L, d]`.
        query_kernel: W1 + W3, `[d, u]`.
        key_kernel: W2 - W3, `[d, u]`.
        cross_kernel: W4, `[d, u]`.
        bias: `[u]`, or None.

    Returns:
        float tensor `[B, L, N, u]`.

    Example:
        >>> one = ops.ones((1, 1))
        >>> q, h = ops.array([[[2.0], [3.0]]]), ops.array([[[5.0]]])
        >>> ops.convert_to_numpy(interaction_hidden(q, h, one, one, one)).tolist()
        [[[[17.0], [23.0]]]]
    """
    batch, count, dimension = ops.shape(candidates)
    units = cross_kernel.shape[-1]
    queries = ops.matmul(candidates, query_kernel)
    if bias is not None:
        queries = queries + bias
    scaled = ops.swapaxes(candidates, 1, 2)[..., None] * cross_kernel[:, None, :]
    scaled = scaled + key_kernel[:, None, :]
    kernel = ops.concatenate([scaled, queries[:, None]], axis=1)
    kernel = ops.reshape(kernel, (batch, dimension + 1, count * units))
    history = ops.concatenate([history, ops.ones_like(history[..., :1])], axis=-1)
    hidden = ops.matmul(history, kernel)
    return ops.reshape(hidden, (batch, ops.shape(history)[1], count, units))


def masked_weights(scores: Any, mask: Any, normalization: str) -> Any:
    """Attention weights over the last axis; exactly 0 outside the mask.

    Args:
        scores: float tensor `[..., L]`.
        mask: bool tensor `[..., L]`.
        normalization: `"softmax"`, or `"sigmoid"` for weights that do not sum to 1 and
            so keep the strength of the interest.

    Returns:
        float tensor `[..., L]`, all zeros where nothing is valid.

    Example:
        >>> weights = masked_weights([[0.0, 9.0]], [[True, False]], "sigmoid")
        >>> ops.convert_to_numpy(weights).tolist()
        [[0.5, 0.0]]
    """
    mask = ops.convert_to_tensor(mask)
    scores = ops.cast(scores, "float32")
    if normalization == "sigmoid":
        return ops.where(mask, ops.sigmoid(scores), 0.0)
    scores = ops.where(mask, scores, -1e9)
    top = ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True))
    weights = ops.where(mask, ops.exp(scores - top), 0.0)
    return weights / ops.maximum(ops.sum(weights, axis=-1, keepdims=True), 1e-9)


@keras.saving.register_keras_serializable(package="tfmm")
class TargetAttention(Layer):
    """DIN: each candidate's own weighted sum of the history.

    The weights come from a small network on `[q, h, q - h, q * h]`, whose first layer
    is computed in parts (`interaction_hidden`).

    Args:
        hidden: Units of the attention network's hidden layers. Defaults to (32, 16).
        activation: Their activation. Defaults to `"relu"`.
        normalization: `"softmax"` (default) or `"sigmoid"`; see `masked_weights`.
        pair_features: Number f of features of (candidate, history) pairs that count
            as part of a history item: the network sees them and they are summed with
            the same weights. Defaults to 0.

    Input shape:
        candidates float `[B, N, d]` or `[B, d]`; history float `[B, L, d]`; mask bool
        `[B, L]`, or `[B, N, L]` where it differs by candidate; pairs float
        `[B, N, L, f]` (`[B, L, f]` for candidates `[B, d]`) with pair features only.

    Output shape:
        float `[B, N, d + f]` or `[B, d + f]`; zeros where no history position is valid.

    Reference:
        Eq. 3 of arXiv 2407.19467; DIN, arXiv 1706.06978.

    Example:
        >>> attention = TargetAttention()
        >>> attention(ops.ones((2, 3, 4)), ops.ones((2, 5, 4)), ops.ones((2, 5), "bool")).shape == (2, 3, 4)
        True
    """  # noqa: E501

    def __init__(
        self,
        hidden: Sequence[int] = (32, 16),
        activation: str = "relu",
        normalization: str = "softmax",
        pair_features: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not hidden:
            raise TfmmError(
                "Target attention needs a hidden layer. Received: hidden=(). "
                "Give at least one width, for example (32,)."
            )
        if normalization not in NORMALIZATIONS:
            raise TfmmError(
                "Target attention does not know this normalization. Received: "
                f"normalization={normalization!r}. "
                f"Choose one of {', '.join(NORMALIZATIONS)}."
            )
        self.hidden = tuple(hidden)
        self.activation = keras.activations.get(activation)
        self.normalization = normalization
        self.pair_features = pair_features

    def build(
        self,
        candidates_shape: Any,
        history_shape: Any,
        mask_shape: Any = None,
        pairs_shape: Any = None,
    ) -> None:
        shape = (history_shape[-1], self.hidden[0])
        self.query_kernel = self.add_weight(shape=shape, name="query_kernel")
        self.key_kernel = self.add_weight(shape=shape, name="key_kernel")
        self.cross_kernel = self.add_weight(shape=shape, name="cross_kernel")
        if self.pair_features:
            self.pair_kernel = self.add_weight(
                shape=(self.pair_features, self.hidden[0]), name="pair_kernel"
            )
        self.bias = self.add_weight(
            shape=shape[1:], initializer="zeros", name="hidden_bias"
        )
        self.dense_layers = [
            keras.layers.Dense(units, dtype=self.dtype_policy, trainable=self.trainable)
            for units in (*self.hidden[1:], 1)
        ]
        for width, layer in zip(self.hidden, self.dense_layers, strict=True):
            layer.build((None, width))
        self.built = True

    def call(self, candidates: Any, history: Any, mask: Any, pairs: Any = None) -> Any:
        single = len(candidates.shape) == 2
        if single:
            candidates = candidates[:, None]
            pairs = None if pairs is None else pairs[:, None]
        if len(mask.shape) == 2:
            mask = mask[:, None]
        usable = ops.any(mask, axis=1)[..., None]
        history = ops.where(usable, history, ops.zeros((), history.dtype))
        if pairs is not None:
            pairs = ops.where(mask[..., None], pairs, ops.zeros((), pairs.dtype))
        weights = masked_weights(
            self.scores(candidates, history, pairs), mask, self.normalization
        )
        weights = ops.cast(weights, history.dtype)
        pooled = ops.matmul(weights, history)
        if pairs is not None:
            summed = ops.matmul(weights[:, :, None], ops.cast(pairs, weights.dtype))
            pooled = ops.concatenate([pooled, summed[:, :, 0]], axis=-1)
        return pooled[:, 0] if single else pooled

    def scores(self, candidates: Any, history: Any, pairs: Any = None) -> Any:
        """Attention scores before masking and normalising.

        Args:
            candidates: float tensor `[B, N, d]`.
            history: float tensor `[B, L, d]`.
            pairs: float tensor `[B, N, L, f]`, or None without pair features.

        Returns:
            float tensor `[B, N, L]`.
        """
        hidden = interaction_hidden(
            candidates,
            history,
            self.query_kernel,
            self.key_kernel,
            self.cross_kernel,
            self.bias,
        )
        if pairs is not None:
            pairs = ops.matmul(ops.cast(pairs, hidden.dtype), self.pair_kernel)
            hidden = hidden + ops.swapaxes(pairs, 1, 2)
        for layer in self.dense_layers:
            hidden = layer(self.activation(hidden))
        return ops.swapaxes(ops.squeeze(hidden, -1), 1, 2)

    def compute_output_shape(
        self,
        candidates_shape: Any,
        history_shape: Any,
        mask_shape: Any = None,
        pairs_shape: Any = None,
    ) -> Any:
        return (*candidates_shape[:-1], candidates_shape[-1] + self.pair_features)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden": list(self.hidden),
            "activation": keras.activations.serialize(self.activation),
            "normalization": self.normalization,
            "pair_features": self.pair_features,
        }
