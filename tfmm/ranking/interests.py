"""Interest modules: what a candidate has to do with the history.

An interest is a Keras layer from the ranker's views to features `[B, N, k]`. The views
are a dict computed once per request:

    history         float `[B, L, D]`  embeddings of history items (with event type)
    items           float `[B, N, D]`  embeddings of candidates
    history_mask    bool `[B, L]`      valid history positions
    item_mask       bool `[B, N]`      valid candidates
    modalities      dict by modality of what `read_modality` returns
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.simtier import SimTier
from tfmm.layers.target_attention import TargetAttention
from tfmm.ranking.make import MAKE, extractor_inputs
from tfmm.ranking.make_extractor import MakeExtractor

Views = Mapping[str, Any]


@keras.saving.register_keras_serializable(package="tfmm")
class DinInterest(keras.layers.Layer):
    """DIN over ID embeddings, with the product of candidate and interest.

    Args:
        hidden: Units of the attention network. Defaults to (16, 8).
        normalization: `"softmax"` (default) or `"sigmoid"`.
    """

    needs_vectors = False

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

    def build(self, views_shape: Any) -> None:
        self.attention.build(views_shape["items"], views_shape["history"])
        self.built = True

    def call(self, views: Views) -> Any:
        items = views["items"]
        pooled = self.attention(items, views["history"], views["history_mask"])
        return ops.concatenate([pooled, pooled * items], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden": list(self.attention.hidden),
            "normalization": self.attention.normalization,
        }


@keras.saving.register_keras_serializable(package="tfmm")
class SimTierInterest(keras.layers.Layer):
    """SimTier per modality, with the number of pairs that were compared.

    That number (as log(1 + n)) tells "nothing to compare" from "nothing similar".

    Args:
        tiers: int. Tiers per modality. Defaults to 20.
        scaling: As of `SimTier`. Defaults to `"log1p"`.
    """

    needs_vectors = True

    def __init__(self, tiers: int = 20, scaling: str = "log1p", **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.tiers = tiers
        self.scaling = scaling
        self.layers_by_modality: dict[str, SimTier] = {}

    def build(self, views_shape: Any = None) -> None:
        for name in views_shape["modalities"]:
            layer = SimTier(self.tiers, self.scaling)
            layer.build()
            self.layers_by_modality[name] = layer
        self.built = True

    def call(self, views: Views) -> Any:
        parts = []
        for name, view in views["modalities"].items():
            compared = ops.sum(ops.cast(view["mask"], "float32"), axis=-1)
            parts += [
                self.layers_by_modality[name](view["similarity"], view["mask"]),
                ops.log1p(compared)[..., None],
            ]
        return ops.concatenate(parts, axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "tiers": self.tiers}
        return {**config, "scaling": self.scaling}


@keras.saving.register_keras_serializable(package="tfmm")
class MakeInterest(keras.layers.Layer):
    """The knowledge of a trained `MAKE`: v_MAKE and intermediate outputs.

    Args:
        make: A trained `MAKE` (its extractor is copied; its tables are not) or a
            `MakeExtractor`.
        freeze: Whether MAKE's weights stay as they are. Defaults to True.
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
        self.extractor = source.clone()
        self.extractor.trainable = not freeze
        self.freeze = freeze
        self.layers_used = tuple(used)
        self.use_logit = use_logit
        self.built = True

    def call(self, views: Views) -> Any:
        modalities = {name: views["modalities"][name] for name in self.modalities}
        inputs = extractor_inputs(modalities)
        v_make, intermediates, logit = self.extractor(*inputs)
        parts = [v_make, *(intermediates[index] for index in self.layers_used)]
        if self.use_logit:
            parts.append(ops.cast(logit[..., None], v_make.dtype))
        knowledge = ops.concatenate(parts, axis=-1)
        return ops.stop_gradient(knowledge) if self.freeze else knowledge

    @property
    def modalities(self) -> tuple[str, ...]:
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


_BY_NAME = {"din": DinInterest, "simtier": SimTierInterest}


def interest_layer(interest: Any) -> keras.layers.Layer:
    """The layer for a name, a trained MAKE, or a layer of one's own.

    Args:
        interest: `"din"`, `"simtier"`, a `MAKE`, or a layer as described above.

    Raises:
        TfmmError: Anything else.

    Example:
        >>> type(interest_layer("simtier")).__name__
        'SimTierInterest'
    """
    if isinstance(interest, MAKE):
        return MakeInterest(interest)
    if isinstance(interest, str) and interest in _BY_NAME:
        return _BY_NAME[interest]()
    if isinstance(interest, keras.layers.Layer):
        return interest
    raise TfmmError(
        f"This is no interest. Received: {interest!r}. Give one of "
        f"{', '.join(map(repr, _BY_NAME))}, a trained MAKE, or a Keras layer "
        "from the ranker's views to [B, N, k]."
    )
