"""Interest by target attention over ID embeddings."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfmm.layers.target_attention import TargetAttention
from tfmm.ranking.interests.base import Interest
from tfmm.ranking.views import Views


@keras.saving.register_keras_serializable(package="tfmm")
class DinInterest(Interest):
    """DIN over ID embeddings, with the product of candidate and interest.

    Args:
        hidden: Units of the attention network. Defaults to (16, 8).
        normalization: `"softmax"` (default) or `"sigmoid"`.

    Reference:
        arXiv 1706.06978.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (16, 8),
        normalization: str = "softmax",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.attention = TargetAttention(
            hidden, normalization=normalization, dtype=self.dtype_policy
        )

    def call(self, views: Views) -> Any:
        items = views.items
        pooled = self.attention(items, views.history, views.history_mask)
        return ops.concatenate([pooled, pooled * items], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden": list(self.attention.hidden),
            "normalization": self.attention.normalization,
        }
