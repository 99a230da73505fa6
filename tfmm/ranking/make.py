"""MAKE: click prediction from frozen multimodal vectors alone, over many epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfmm.layers.frozen_vectors import FrozenVectors
from tfmm.ranking.carry import WarmStart, carry
from tfmm.ranking.make_extractor import MakeExtractor
from tfmm.ranking.modality_view import ModalityView
from tfmm.ranking.request_model import Batch, RequestModel, check_batch
from tfmm.ranking.request_rows import RequestRows
from tfmm.ranking.vector_tables import VectorShapes, fill_vectors, vector_shapes
from tfmm.ranking.warm_start_checks import check_alike

_NEEDED = ("history_item", "n_history", "item", "n_items")


@keras.saving.register_keras_serializable(package="tfmm")
class MAKE(RequestModel):
    """Multimodal Knowledge Extractor, trained on clicks with vectors as its only input.

    Multimodal weights keep improving for many epochs while ID embeddings overfit after
    one, so MAKE is a model of its own with its own `fit`; a `RankingModel` then takes
    v_MAKE and the intermediate outputs of the MLP. The loss (eq. 5) is the logistic
    loss of the valid candidates.

    Args:
        catalog: A `tfmm.Catalog`, or a mapping from modality to a table with `codes`
            int8 `[rows, d]`, `inverse_norm` float32 `[rows]`, `present` bool `[rows]`.
            The vectors are copied into non-trainable variables.
        modalities: Names of the modalities to use. Defaults to all.
        hidden: Units of MLP_MAKE's four hidden layers. Defaults to (128, 64, 32, 16).
        attention_hidden: Units of DIN's attention network. Defaults to (16,).
        activation: Activation of the hidden layers. Defaults to `"relu"`.
        normalization: DIN's weights, `"sigmoid"` (default) or `"softmax"`.
        candidate: Whether MLP_MAKE sees the candidate's vector beside v_MAKE (default),
            or v_MAKE alone as eq. 4 is printed.
        label: Name of the label to train on. Defaults to the only one in the batch.

    Input:
        dict with `history_item` int32 `[B, L]`, `n_history` int32 `[B]`, `item` int32
        `[B, N]`, `n_items` int32 `[B]` (catalog rows and counts) and, in `fit`, the
        label `label_<name>` float32 `[B, N]`. Other keys are ignored.

    Output shape:
        float32 logits `[B, N]`; meaningless from `n_items` on.

    Raises:
        TfmmError: A modality that the catalog lacks.

    Reference:
        Section 4.3, eqs. 3 to 5 of arXiv 2407.19467.

    Example:
        >>> import numpy as np
        >>> from types import SimpleNamespace
        >>> table = SimpleNamespace(
        ...     codes=np.ones([4, 2], "int8"), inverse_norm=np.full(4, 0.7071, "f4"),
        ...     present=np.array([False, False, True, True]))
        >>> make = MAKE({"image": table}, hidden=(4, 4, 4, 4))
        >>> batch = {"history_item": [[2]], "n_history": [1], "item": [[3, 2]],
        ...          "n_items": [2]}
        >>> make({key: np.array(value) for key, value in batch.items()}).shape
        TensorShape([1, 2])
    """

    def __init__(
        self,
        catalog: Any,
        modalities: Sequence[str] | None = None,
        hidden: Sequence[int] = (128, 64, 32, 16),
        attention_hidden: Sequence[int] = (16,),
        activation: str = "relu",
        normalization: str = "sigmoid",
        candidate: bool = True,
        label: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("name", "make")
        super().__init__(None if label is None else (label,), **kwargs)
        self.label = label
        self.shapes = vector_shapes(catalog, modalities)
        self.vectors = {
            name: FrozenVectors(self.shapes.rows, dimension)
            for name, dimension in self.shapes.modalities.items()
        }
        self.extractor_layer = MakeExtractor(
            self.shapes.modalities,
            hidden,
            attention_hidden,
            activation,
            normalization,
            candidate,
        )
        if not isinstance(catalog, VectorShapes):
            fill_vectors(self.vectors, catalog)
        self.build()

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the catalog whose vectors this model was trained on."""
        return self.shapes.fingerprint

    def call(self, batch: Batch) -> Any:
        check_batch(batch, _NEEDED, "MAKE")
        rows = RequestRows.of(batch)
        views = {
            name: ModalityView(vectors, rows) for name, vectors in self.vectors.items()
        }
        return self.extractor_layer(*extractor_inputs(views))[2]

    def extractor(self) -> keras.Model:
        """This model without its tables, for other networks; it shares the weights.

        Returns:
            Keras model from a dict with `history_<modality>` float `[B, L, d]`,
            `candidates_<modality>` float `[B, N, d]` and `mask_<modality>` bool
            `[B, N, L]` to (v_MAKE `[B, N, sum of d]`, list of the four hidden outputs
            `[B, N, u]`, logit `[B, N]`).
        """
        history: dict[str, Any] = {}
        candidates: dict[str, Any] = {}
        mask: dict[str, Any] = {}
        inputs: dict[str, Any] = {}
        for name, dimension in self.shapes.modalities.items():
            for side, part in (("history", history), ("candidates", candidates)):
                key = f"{side}_{name}"
                part[name] = inputs[key] = keras.Input((None, dimension), name=key)
            key = f"mask_{name}"
            mask[name] = inputs[key] = keras.Input((None, None), dtype="bool", name=key)
        v_make, hidden, logit = self.extractor_layer(history, candidates, mask)
        return keras.Model(inputs, (v_make, list(hidden), logit), name="make_extractor")

    def warm_start(self, old: "MAKE", optimizer: bool = True) -> WarmStart:
        """Takes over yesterday's weights and optimizer; the catalog may have grown.

        The vectors stay those of this model's catalog. A schedule of the optimizer's
        rate begins anew.

        Args:
            old: The trained MAKE, of the same settings and encoder.
            optimizer: Whether to carry the optimizer's state. Defaults to True.

        Returns:
            `WarmStart` without tables.

        Raises:
            TfmmError: Other settings or vectors, or optimizers that do not fit or are
                missing.
        """
        check_alike(self, old)
        fixed = {id(w) for layer in self.vectors.values() for w in layer.weights}
        return WarmStart({}, carry(self, old, {}, fixed, optimizer))

    def get_config(self) -> dict[str, Any]:
        layer = self.extractor_layer
        return {
            "name": self.name,
            "catalog": self.shapes.to_dict(),
            "hidden": list(layer.hidden),
            "attention_hidden": list(layer.attention_hidden),
            "activation": layer.activation,
            "normalization": layer.normalization,
            "candidate": layer.candidate,
            "label": self.label,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "MAKE":
        shapes = VectorShapes(**config["catalog"])
        return cls(**{**config, "catalog": shapes})


def extractor_inputs(views: Mapping[str, ModalityView]) -> tuple[dict[str, Any], ...]:
    """A `MakeExtractor`'s inputs from views by modality.

    Args:
        views: A view by modality.

    Returns:
        dicts by modality: history, candidates (unit vectors), mask.
    """
    return (
        {name: view.history_units for name, view in views.items()},
        {name: view.item_units for name, view in views.items()},
        {name: view.mask for name, view in views.items()},
    )
