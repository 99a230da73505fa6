"""The ranker: ID embeddings, interests, a tower, one logit per candidate."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.embedding import Embedding
from tfmm.layers.frozen_vectors import FrozenVectors
from tfmm.layers.gather import gather_rows
from tfmm.layers.masks import keep_valid, masked_mean, valid_mask
from tfmm.ranking.features import FeatureInputs, standardise
from tfmm.ranking.interests import MakeInterest, interest_layer
from tfmm.ranking.item_tables import ItemTables
from tfmm.ranking.request_model import Batch, RequestModel, check_batch
from tfmm.ranking.shapes import RankerShapes, example_batch, ranker_shapes
from tfmm.ranking.tower import Tower
from tfmm.ranking.vector_tables import fill_vectors, read_modality
from tfmm.records.spec import RequestSpec


@keras.saving.register_keras_serializable(package="tfmm")
class RankingModel(RequestModel):
    """Scores the candidates of a request from IDs, features and multimodal interests.

    The ID-only baseline is this model with `interests=("din",)`; every interest adds
    inputs per candidate to the same tower. All about items (embedding row, features,
    frozen vectors) is gathered inside from non-trainable tables by catalog row, the
    history's once per request. History items are averaged in any case.

    Train it for one epoch: ID embeddings overfit in the second.

    Args:
        vocabularies: `tfmm.records.Vocabularies` (`spec`, `items`, `index_stamp`).
        catalog: `tfmm.Catalog`, or a mapping from modality to a table with `codes`,
            `inverse_norm` and `present`. None for a model without vectors.
        interests: Any of `"din"`, `"simtier"`, a trained `MAKE` (or `MakeInterest` of
            one, with options), or layers of one's own (`tfmm.ranking.interests`).
        modalities: Names of the catalog's modalities to use. Defaults to all.
        embedding_dim: int. Dimension of every embedding. Defaults to 16.
        hidden: Units of the tower's hidden layers. Defaults to (128, 64).
        label: Label to train on. Defaults to the first of the spec's labels.

    Input:
        The dict of `tfmm.data.requests`: `user` int32 `[B]`, `user_<f>` and
        `context_<f>` `[B]`, `history_item`, `history_type` int32 `[B, L]`, `n_history`
        int32 `[B]`, `item` int32 `[B, N]`, `candidate_<f>` `[B, N]`, `n_items` int32
        `[B]`, and in `fit` `label_<label>` float32 `[B, N]`. Other keys are ignored,
        and so is everything beyond the counts.

    Output shape:
        float32 logits `[B, N]` (no sigmoid); meaningless from `n_items` on.

    Raises:
        TfmmError: Interests that need vectors without a catalog, a MAKE trained on
            another catalog or on modalities not in use, or a catalog and vocabularies
            of different item indexes.

    Reference:
        Section 4 of arXiv 2407.19467.
    """

    def __init__(
        self,
        vocabularies: Any,
        catalog: Any = None,
        interests: Sequence[Any] = ("din",),
        modalities: Sequence[str] | None = None,
        embedding_dim: int = 16,
        hidden: Sequence[int] = (128, 64),
        label: str | None = None,
        **kwargs: Any,
    ) -> None:
        shapes = ranker_shapes(vocabularies, catalog, modalities)
        kwargs.setdefault("name", "ranker")
        super().__init__(label=label or shapes.spec.labels[0], **kwargs)
        self.shapes = shapes
        self.embedding_dim = embedding_dim
        self.hidden = tuple(hidden)
        self.interests = [interest_layer(interest) for interest in interests]
        for interest in self.interests:
            _check_interest(interest, shapes)
        self._make_layers()
        if not isinstance(vocabularies, RankerShapes):
            items = vocabularies.items
            self.items.assign(items.embedding_row, items.codes, items.numbers)
            fill_vectors(self.vectors, catalog)
        self(example_batch(self.spec))  # builds every layer

    def _make_layers(self) -> None:
        spec, vectors, dim = self.spec, self.shapes.vectors, self.embedding_dim
        item_features = spec.of_scope("item")
        sizes = tuple(f.size for f in item_features if f.kind == "categorical")
        numeric = len(item_features) - len(sizes)
        self.items = ItemTables(vectors.rows, spec.items, sizes, numeric, dim)
        self.vectors = {
            name: FrozenVectors(vectors.rows, dimension)
            for name, dimension in vectors.modalities.items()
        }
        self.users = Embedding(spec.users, dim)
        self.event_types = Embedding(len(spec.event_types) + 2, self.items.dimension)
        self.request_features = FeatureInputs(spec.of_scope("user", "context"), dim)
        self.candidate_features = FeatureInputs(spec.of_scope("candidate"), dim)
        self.tower = Tower(self.hidden)

    @property
    def spec(self) -> RequestSpec:
        """Names and sizes of the requests this model takes."""
        return self.shapes.spec

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the catalog this model was built from."""
        return self.shapes.vectors.fingerprint

    def call(self, batch: Batch) -> Any:
        labels = {f"label_{label}" for label in self.spec.labels}
        needed = tuple(key for key in example_batch(self.spec) if key not in labels)
        check_batch(batch, needed, "the ranker")
        views = self.views(batch)
        return self.tower(
            self._request_inputs(batch, views), self._candidate_inputs(batch, views)
        )

    def views(self, batch: Batch) -> dict[str, Any]:
        """What interests see of a batch (`tfmm.ranking.interests`), gathered once.

        Args:
            batch: A request batch.
        """
        history_mask = valid_mask(
            batch["n_history"], ops.shape(batch["history_item"])[1]
        )
        item_mask = valid_mask(batch["n_items"], ops.shape(batch["item"])[1])
        history = keep_valid(batch["history_item"], history_mask)
        types = keep_valid(batch["history_type"], history_mask)
        items = keep_valid(batch["item"], item_mask)
        return {
            "history": self.items(history) + self.event_types(types),
            "items": self.items(items),
            "history_mask": history_mask,
            "item_mask": item_mask,
            "modalities": {
                name: read_modality(vectors, history, history_mask, items, item_mask)
                for name, vectors in self.vectors.items()
            },
        }

    def _request_inputs(self, batch: Batch, views: dict[str, Any]) -> Any:
        pooled = masked_mean(views["history"], views["history_mask"])
        features = self.request_features(self.request_features.select(batch))
        length = ops.log1p(ops.cast(batch["n_history"], pooled.dtype))[:, None]
        inputs = [self.users(batch["user"]), pooled, length, *features]
        return ops.concatenate(inputs, axis=-1)

    def _candidate_inputs(self, batch: Batch, views: dict[str, Any]) -> Any:
        items, mask = views["items"], views["item_mask"]
        selected = self.candidate_features.select(batch)
        valid = {name: keep_valid(value, mask) for name, value in selected.items()}
        inputs = [items, *self.candidate_features(valid)]
        if self.items.number_count:
            rows = keep_valid(batch["item"], mask)
            numeric = [f for f in self.spec.of_scope("item") if f.kind == "numeric"]
            inputs.append(standardise(self.items.numbers_of(rows), numeric))
        for view in views["modalities"].values():
            inputs.append(view["present"][..., None])
        inputs += [interest(views) for interest in self.interests]
        return ops.concatenate([ops.cast(x, items.dtype) for x in inputs], axis=-1)

    def known(self, item: Any) -> Any:
        """Which items have a vector in any modality.

        Args:
            item: int32 catalog rows of any shape.

        Returns:
            bool tensor of the same shape; all false for a model without vectors.
        """
        known = ops.zeros_like(item, dtype="bool")
        for vectors in self.vectors.values():
            known = ops.logical_or(known, gather_rows(vectors.present, item))
        return known

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "vocabularies": self.shapes.to_dict(),
            "interests": [
                keras.saving.serialize_keras_object(layer) for layer in self.interests
            ],
            "embedding_dim": self.embedding_dim,
            "hidden": list(self.hidden),
            "label": self.label,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "RankingModel":
        interests = [
            keras.saving.deserialize_keras_object(layer, custom_objects)
            for layer in config["interests"]
        ]
        shapes = RankerShapes.from_dict(config["vocabularies"])
        return cls(**{**config, "vocabularies": shapes, "interests": interests})


def _check_interest(interest: Any, shapes: RankerShapes) -> None:
    vectors = shapes.vectors
    if getattr(interest, "needs_vectors", False) and not vectors.modalities:
        raise TfmmError(
            "This interest needs vectors of items. Received: "
            f"{type(interest).__name__} without a catalog. Give catalog=."
        )
    if not isinstance(interest, MakeInterest):
        return
    missing = [name for name in interest.modalities if name not in vectors.modalities]
    if missing:
        raise TfmmError(
            "MAKE was trained on modalities that the ranker does not use. Received: "
            f"{missing}, ranker with {list(vectors.modalities)}. "
            "Use the same catalog and modalities for both."
        )
    if interest.fingerprint not in (None, vectors.fingerprint):
        raise TfmmError(
            "MAKE was trained on another catalog's vectors. Received: fingerprint "
            f"{interest.fingerprint}, the ranker's catalog has {vectors.fingerprint}. "
            "Train MAKE again on this catalog."
        )
