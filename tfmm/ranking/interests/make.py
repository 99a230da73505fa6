"""Interest by what a trained MAKE knows."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.ranking.interests.base import Interest
from tfmm.ranking.make import MAKE, extractor_inputs
from tfmm.ranking.make_extractor import MakeExtractor
from tfmm.ranking.views import Views

NAME = "make"


@keras.saving.register_keras_serializable(package="tfmm")
class MakeInterest(Interest):
    """The knowledge of a trained `MAKE`: v_MAKE and intermediate outputs.

    Args:
        make: A trained `MAKE` (its extractor is copied; its tables are not) or a
            `MakeExtractor`.
        freeze: Whether MAKE's weights stay as they are. Defaults to True. To fine-tune
            them at a lower rate, name them to the optimizer:
            `ranking_optimizer(rates={"make": 0.1})`.
        layers_used: Indices of MLP_MAKE's hidden layers to take. Defaults to all.
        use_logit: Whether to take MAKE's logit too. Defaults to False.

    Raises:
        TfmmError: A layer that MLP_MAKE lacks.

    Reference:
        Section 4.3, step 2, of arXiv 2407.19467.
    """

    needs_vectors = True

    def __init__(
        self,
        make: MAKE | MakeExtractor,
        freeze: bool = True,
        layers_used: Sequence[int] | None = None,
        use_logit: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fingerprint = getattr(make, "fingerprint", None)
        source = make.extractor_layer if isinstance(make, MAKE) else make
        depth = len(source.hidden)
        used = range(depth) if layers_used is None else layers_used
        if any(index not in range(depth) for index in used):
            raise TfmmError(
                "MLP_MAKE does not have these layers. Received: "
                f"layers_used={list(used)} of {depth}. Count from 0."
            )
        self.extractor = source.clone(NAME)
        self.freeze = freeze
        self.layers_used = tuple(used)
        self.use_logit = use_logit
        self._train_what_is_used()

    def _train_what_is_used(self) -> None:
        """Layers beyond the last one taken have no gradient."""
        extractor = self.extractor
        extractor.trainable = not self.freeze
        layers = [*extractor.dense_layers, extractor.logit_layer]
        used = len(layers) if self.use_logit else 1 + max(self.layers_used, default=-1)
        for layer in layers[used:]:
            layer.trainable = False

    def call(self, views: Views) -> Any:
        inputs = extractor_inputs({name: views.modality(name) for name in self.names})
        v_make, intermediates, logit = self.extractor(*inputs)
        parts = [v_make, *(intermediates[index] for index in self.layers_used)]
        if self.use_logit:
            parts.append(ops.cast(logit[..., None], v_make.dtype))
        knowledge = ops.concatenate(parts, axis=-1)
        return ops.stop_gradient(knowledge) if self.freeze else knowledge

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities MAKE was trained on."""
        return tuple(self.extractor.dimensions)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "make": keras.saving.serialize_keras_object(self.extractor),
            "freeze": self.freeze,
            "layers_used": list(self.layers_used),
            "use_logit": self.use_logit,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MakeInterest":
        make = keras.saving.deserialize_keras_object(config["make"])
        return cls(**{**config, "make": make})
