"""Interest by target attention over ID embeddings joined with vectors."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfmm.layers.target_attention import TargetAttention
from tfmm.ranking.interests.base import Interest
from tfmm.ranking.views import Views


@keras.saving.register_keras_serializable(package="tfmm")
class VectorInterest(Interest):
    """Vectors as side information: DIN over `[ID embedding, projected vectors]`.

    It takes the place of `"din"`, and is what SimScore, SimTier and MAKE are compared
    with: weights on raw vectors learn slowly in the one epoch of joint training. The
    projected vector of the candidate goes into the tower as well.

    Args:
        dimension: Length of a vector's learned projection; None for the raw vector.
            Defaults to 16.
        hidden: Units of the attention network. Defaults to (16, 8).
        normalization: `"softmax"` (default) or `"sigmoid"`.

    Reference:
        "Vector" in section 6.3 of arXiv 2407.19467.
    """

    needs_vectors = True

    def __init__(
        self,
        dimension: int | None = 16,
        hidden: Sequence[int] = (16, 8),
        normalization: str = "softmax",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dimension = dimension
        self.attention = TargetAttention(
            hidden, normalization=normalization, dtype=self.dtype_policy
        )
        self.projections: dict[str, keras.layers.Dense] = {}

    def connect(self, modalities: Mapping[str, int]) -> None:
        if self.dimension is None:
            return
        for name in modalities:
            self.projections[name] = keras.layers.Dense(
                self.dimension, use_bias=False, dtype=self.dtype_policy
            )

    def call(self, views: Views) -> Any:
        units = [
            (name, view.item_units, view.history_units)
            for name in views.modalities
            for view in [views.modality(name)]
        ]
        items = self._joined(views.items, {n: shown for n, shown, _ in units})
        history = self._joined(views.history, {n: past for n, _, past in units})
        pooled = self.attention(items, history, views.history_mask)
        vectors = items[..., views.items.shape[-1] :]
        return ops.concatenate([pooled, pooled * items, vectors], axis=-1)

    def _joined(self, embeddings: Any, units: Mapping[str, Any]) -> Any:
        parts = [embeddings]
        for name, vectors in units.items():
            vectors = ops.cast(vectors, self.compute_dtype)
            projection = self.projections.get(name)
            parts.append(vectors if projection is None else projection(vectors))
        return ops.concatenate(parts, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dimension": self.dimension,
            "hidden": list(self.attention.hidden),
            "normalization": self.attention.normalization,
        }
