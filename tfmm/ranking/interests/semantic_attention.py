"""Interest by semantic-aware target attention."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfmm.layers.semantic_attention import SemanticTargetAttention
from tfmm.ranking.interests.base import Interest
from tfmm.ranking.views import Views


@keras.saving.register_keras_serializable(package="tfmm")
class SemanticAttentionInterest(Interest):
    """SA-TA per modality: attention over ID embeddings guided by similarities.

    Args:
        units: Width of queries, keys and values. Defaults to 32.
        form: `"paper"` (default) or `"muse"`, as of `SemanticTargetAttention`.

    Reference:
        arXiv 2512.07216 (MUSE).
    """

    needs_vectors = True

    def __init__(self, units: int = 32, form: str = "paper", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.form = form
        self.attentions: dict[str, SemanticTargetAttention] = {}

    def connect(self, modalities: Mapping[str, int]) -> None:
        for name in modalities:
            self.attentions[name] = SemanticTargetAttention(
                self.units, self.form, dtype=self.dtype_policy
            )

    def call(self, views: Views) -> Any:
        parts = []
        for name, attention in self.attentions.items():
            view = views.modality(name)
            parts.append(
                attention(
                    views.items,
                    views.history,
                    view.similarity,
                    views.history_mask,
                    view.mask,
                )
            )
        return ops.concatenate(parts, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "form": self.form}
