"""Deep and cross: products of inputs beside the tower."""

from typing import Any

import keras
from keras import ops

from tfmm.layers.base import Layer


class CrossTower(Layer):
    """Explicit feature crosses (DCN v2): `x_{l+1} = x_0 * (W x_l + b) + x_l`.

    The cross layers are `keras_rs.layers.FeatureCross`, low-rank where a projection is
    given; a linear layer turns the last one into logits, which are added to the
    tower's.

    Args:
        layers: int. Number of cross layers.
        projection: int. Rank of W; None for a full matrix. Defaults to 32.
        heads: int. Logits per candidate. Defaults to 1.

    Input shape:
        request float `[B, r]`, candidates float `[B, N, c]`.

    Output shape:
        float32 logits `[B, N, heads]`.

    Reference:
        arXiv 2008.13535.

    Example:
        >>> CrossTower(2)(ops.ones((2, 3)), ops.ones((2, 5, 7))).shape == (2, 5, 1)
        True
    """

    def __init__(
        self, layers: int, projection: int | None = 32, heads: int = 1, **kwargs: Any
    ) -> None:
        import keras_rs

        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.crosses = [
            keras_rs.layers.FeatureCross(projection_dim=projection, dtype=policy)
            for _ in range(layers)
        ]
        self.logit_layer = keras.layers.Dense(heads, use_bias=False, dtype=policy)

    def call(self, request: Any, candidates: Any) -> Any:
        shape = (*ops.shape(candidates)[:2], request.shape[-1])
        shared = ops.broadcast_to(request[:, None], shape)
        first = crossed = ops.concatenate([shared, candidates], axis=-1)
        for cross in self.crosses:
            crossed = cross(first, crossed)
        return ops.cast(self.logit_layer(crossed), "float32")
