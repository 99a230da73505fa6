"""The place in the list: known in training, constant when scoring."""

from typing import Any

import keras
from keras import ops

from tfmm.layers.base import Layer
from tfmm.layers.embedding import Embedding
from tfmm.layers.masks import keep_valid

MOST = 100


@keras.saving.register_keras_serializable(package="tfmm")
class PositionInput(Layer):
    """Embeds the place of every candidate in training; otherwise the first place.

    What was shown high was clicked more often for that alone. A model that sees the
    place in training need not hide this in the items' embeddings; when it scores, every
    candidate stands in the same place, so that only its own merit counts.

    Args:
        dimension: int. Length of the embedding.

    Input shape:
        positions int32 `[B, N]` from 0 (`MOST` and beyond share one embedding), mask
        bool `[B, N]`.

    Output shape:
        float `[B, N, dimension]`.

    Example:
        >>> layer = PositionInput(2)
        >>> places, mask = ops.array([[0, 3]]), ops.ones((1, 2), "bool")
        >>> scored = layer(places, mask, training=False)
        >>> bool(ops.all(scored[0, 0] == scored[0, 1]))
        True
    """

    def __init__(self, dimension: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embedding = Embedding(MOST + 2, dimension, dtype=self.dtype_policy)
        self.embedding.build()
        self.built = True

    def call(self, positions: Any, mask: Any, training: bool | None = None) -> Any:
        if not training:
            return self.embedding(ops.ones_like(mask, dtype="int32"))
        positions = keep_valid(ops.cast(positions, "int32"), mask)
        return self.embedding(ops.clip(positions, 0, MOST) + 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dimension": self.embedding.dimension}
