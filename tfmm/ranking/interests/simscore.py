"""Interest by target attention that sees the similarity of every history item."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfmm.layers.target_attention import TargetAttention
from tfmm.ranking.interests.base import Interest
from tfmm.ranking.views import Views


@keras.saving.register_keras_serializable(package="tfmm")
class SimScoreInterest(Interest):
    """SimScore: the scalar similarity of every history item as side information.

    It takes the place of `"din"`: DIN over `[ID embedding, similarity, known]` of the
    history, per modality; `known` is 0 where one side has no vector, which is not the
    same as a similarity of 0.

    Args:
        hidden: Units of the attention network. Defaults to (16, 8).
        normalization: `"softmax"` (default) or `"sigmoid"`.

    Reference:
        "SimScore" in section 6.3 of arXiv 2407.19467.
    """

    needs_vectors = True

    def __init__(
        self,
        hidden: Sequence[int] = (16, 8),
        normalization: str = "softmax",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.attention_hidden = tuple(hidden)
        self.normalization = normalization

    def connect(self, modalities: Mapping[str, int]) -> None:
        self.attention = TargetAttention(
            self.attention_hidden,
            normalization=self.normalization,
            pair_features=2 * len(modalities),
            dtype=self.dtype_policy,
        )

    def call(self, views: Views) -> Any:
        parts = []
        for name in views.modalities:
            view = views.modality(name)
            parts += [ops.where(view.mask, view.similarity, 0.0), view.mask]
        pairs = ops.stack([ops.cast(x, self.compute_dtype) for x in parts], axis=-1)
        items, history = views.items, views.history
        pooled = self.attention(items, history, views.history_mask, pairs)
        own = pooled[..., : items.shape[-1]]
        return ops.concatenate([pooled, own * items], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden": list(self.attention_hidden),
            "normalization": self.normalization,
        }
