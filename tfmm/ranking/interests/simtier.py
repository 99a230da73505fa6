"""Interest by histograms of similarities."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfmm.layers.simtier import SimTier
from tfmm.ranking.interests.base import Interest
from tfmm.ranking.views import Views


@keras.saving.register_keras_serializable(package="tfmm")
class SimTierInterest(Interest):
    """SimTier per modality, with the number of pairs that were compared.

    That number (as log(1 + n)) tells "nothing to compare" from "nothing similar".

    Args:
        tiers: int. Tiers per modality. Defaults to 20.
        scaling: As of `SimTier`. Defaults to `"log1p"`.
        form: As of `SimTier`. Defaults to `"paper"`.

    Reference:
        Section 4.2 of arXiv 2407.19467; alimama-tech/MUSE.
    """

    needs_vectors = True

    def __init__(
        self,
        tiers: int = 20,
        scaling: str = "log1p",
        form: str = "paper",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.tiers = tiers
        self.scaling = scaling
        self.form = form
        self.layers_by_modality: dict[str, SimTier] = {}

    def connect(self, modalities: Mapping[str, int]) -> None:
        for name in modalities:
            self.layers_by_modality[name] = SimTier(self.tiers, self.scaling, self.form)

    def call(self, views: Views) -> Any:
        parts = []
        for name, layer in self.layers_by_modality.items():
            view = views.modality(name)
            compared = ops.sum(ops.cast(view.mask, "float32"), axis=-1)
            parts += [
                layer(view.similarity, view.mask),
                ops.log1p(compared)[..., None],
            ]
        return ops.concatenate(parts, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "tiers": self.tiers,
            "scaling": self.scaling,
            "form": self.form,
        }
