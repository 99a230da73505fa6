"""The ranker: ID embeddings, interests, a tower, a logit per candidate and label."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfmm.layers.embedding import Embedding
from tfmm.ranking.calibration import Calibration
from tfmm.ranking.cross import CrossTower
from tfmm.ranking.explanation import explain
from tfmm.ranking.features import FeatureInputs
from tfmm.ranking.heads import split_heads
from tfmm.ranking.inputs import candidate_inputs, interest_inputs, request_inputs
from tfmm.ranking.interests import interest_layer
from tfmm.ranking.interests.base import connect
from tfmm.ranking.offset import base_logit
from tfmm.ranking.position import PositionInput
from tfmm.ranking.ranker_checks import check_interest, check_options, check_request
from tfmm.ranking.request_model import Batch, RequestModel
from tfmm.ranking.request_rows import RequestRows
from tfmm.ranking.request_tables import RequestTables
from tfmm.ranking.shapes import RankerShapes, example_batch, ranker_shapes
from tfmm.ranking.tower import Tower
from tfmm.ranking.vector_tables import with_vectors
from tfmm.ranking.views import Views
from tfmm.ranking.warm_start import RankerWarmStart
from tfmm.records.spec import RequestSpec

_OPTIONS = ("name", "embedding_dim", "cross_layers", "recent", "position", "offset")


@keras.saving.register_keras_serializable(package="tfmm")
class RankingModel(RankerWarmStart, RequestModel):
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
        interests: Names, `{name: options}`, trained `MAKE`s (or `MakeInterest`s of
            them, with options), or layers of one's own: `tfmm.ranking.interests`.
        modalities: Names of the catalog's modalities to use. Defaults to all.
        embedding_dim: int. Dimension of every embedding. Defaults to 16.
        hidden: Units of the tower's hidden layers. Defaults to (128, 64).
        labels: Labels to train on, a head for each. Defaults to the spec's first.
        cross_layers: Cross layers (DCN v2) beside the tower. Defaults to 0.
        recent: Newest history items that interests see; only `"history_search"` sees
            all. Defaults to all.
        position: Whether the place in the list is an input in training. When scoring,
            every candidate counts as shown first. Defaults to False.
        offset: `"base_score"` to add the logit of the logged probability of that name,
            `logit = base_logit + f(interests)`. Defaults to None.
        loss: A Keras loss on logits in place of TFRS's ranking task.

    Input:
        The dict of `tfmm.data.requests`: `user` int32 `[B]`, `user_<f>` and
        `context_<f>` `[B]`, `history_item`, `history_type` int32 `[B, L]`, `n_history`
        int32 `[B]`, `item` int32 `[B, N]`, `candidate_<f>` `[B, N]`, `n_items` int32
        `[B]`, with an offset `base_score` float32 `[B, N]`, and in `fit`
        `label_<label>` float32 and with positions `position` int32 `[B, N]`. Other
        keys are ignored, and so is everything beyond the counts.

    Output shape:
        float32 logits `[B, N]` (no sigmoid), a dict of them by label with several
        labels; meaningless from `n_items` on.

    Raises:
        TfmmError: A catalog that interests need and lack, a MAKE of another catalog or
            of modalities not in use, a catalog and vocabularies of different item
            indexes, labels, positions or base scores that requests do not have, or an
            interest that is in a ranker already.

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
        labels: Sequence[str] | None = None,
        cross_layers: int = 0,
        recent: int | None = None,
        position: bool = False,
        offset: str | None = None,
        loss: keras.losses.Loss | None = None,
        **kwargs: Any,
    ) -> None:
        shapes = ranker_shapes(vocabularies, catalog, modalities)
        labels = tuple(labels or shapes.spec.labels[:1])
        check_options(shapes.spec, labels, position, offset, recent)
        kwargs.setdefault("name", "ranker")
        super().__init__(labels, loss, **kwargs)
        self.shapes = shapes
        self.embedding_dim = embedding_dim
        self.hidden = tuple(hidden)
        self.cross_layers = cross_layers
        self.recent = recent
        self.position = position
        self.offset = offset
        self.interests = [interest_layer(interest) for interest in interests]
        for interest in self.interests:
            check_interest(interest, shapes)
            connect(interest, shapes.vectors.modalities)
        self._make_layers()
        if not isinstance(vocabularies, RankerShapes):
            self._tables.fill(vocabularies, catalog)
        self(example_batch(self.spec), training=True)  # builds every layer

    def _make_layers(self) -> None:
        spec, dim = self.spec, self.embedding_dim
        self._tables = RequestTables.of(self.shapes, dim)
        self.items = self._tables.items
        self.vectors = self._tables.vectors
        self.users = Embedding(spec.users, dim, name="users")
        self.event_types = self._tables.event_types
        self.request_features = FeatureInputs(spec.of_scope("user", "context"), dim)
        self.candidate_features = FeatureInputs(spec.of_scope("candidate"), dim)
        heads = len(self.labels or ())
        self.tower = Tower(self.hidden, heads=heads, name="tower")
        self.positions = PositionInput(dim, name="positions") if self.position else None
        crosses = self.cross_layers
        self.cross = CrossTower(crosses, heads=heads, name="cross") if crosses else None
        self.calibration = Calibration(heads)

    @property
    def spec(self) -> RequestSpec:
        """Names and sizes of the requests this model takes."""
        return self.shapes.spec

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the catalog this model was built from."""
        return self.shapes.vectors.fingerprint

    @property
    def needs_base_score(self) -> bool:
        """Whether requests must carry a `base_score` per candidate."""
        return self.offset is not None

    def call(
        self,
        batch: Batch,
        training: bool | None = None,
        without: Sequence[int] = (),
    ) -> Any:
        """Logits of a batch.

        Args:
            batch: A request batch.
            training: Whether positions count.
            without: Places of interests whose inputs are set to 0, to see their part.
        """
        check_request(batch, self, training)
        views = self.views(batch)
        request = request_inputs(batch, views, self.users, self.request_features)
        inputs = candidate_inputs(batch, views, self.spec, self.candidate_features)
        if self.positions is not None:
            places = batch.get("position")
            inputs.append(self.positions(places, views.item_mask, training=training))
        inputs += interest_inputs(self.interests, views, without)
        dtype = views.items.dtype
        candidates = ops.concatenate([ops.cast(x, dtype) for x in inputs], axis=-1)
        logits = self.tower(request, candidates)
        if self.cross is not None:
            logits = logits + self.cross(request, candidates)
        if self.offset is not None:
            base = base_logit(batch[self.offset], views.item_mask)
            logits = logits + base[..., None]
        if not training:
            logits = self.calibration(logits)
        return split_heads(logits, self.labels or ())

    def views(self, batch: Batch) -> Views:
        """What interests see of a request batch.

        Args:
            batch: A request batch. New items bring their vectors along in
                `new_<modality>_vector` float32 `[B, V, d]`; `item_vector` int32
                `[B, N]` and `history_vector` int32 `[B, L]` then say where each
                item's vector stands: its catalog row, or `rows + b * V + v`.
        """
        views = Views(RequestRows.of(batch), self._tables.with_new(batch))
        return views if self.recent is None else views.newest(self.recent)

    def vectors_of(self, batch: Batch) -> Mapping[str, Any]:
        """By modality, from rows to `VectorRows`; new items of the batch included."""
        return self._tables.with_new(batch).vectors

    def explain(self, batch: Batch, top: int = 5, label: str | None = None) -> Any:
        """The `Explanation` of all candidates' logits; see `tfmm.ranking.explain`.

        Args:
            batch: A request batch.
            top: Matched history items per candidate and modality. Defaults to 5.
            label: The head to explain. Defaults to the first.
        """
        return explain(self, batch, top, label)

    def known(self, item: Any) -> Any:
        """Which items have a vector in any modality.

        Args:
            item: int32 catalog rows of any shape; the answer is a bool for each.
        """
        return with_vectors(self.vectors, item)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        loss = self.loss_on_logits
        return {
            **{option: getattr(self, option) for option in _OPTIONS},
            "vocabularies": self.shapes.to_dict(),
            "interests": [serialize(interest) for interest in self.interests],
            "hidden": list(self.hidden),
            "labels": list(self.labels or ()),
            "loss": None if loss is None else serialize(loss),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "RankingModel":
        def restore(part: Any) -> Any:
            return keras.saving.deserialize_keras_object(part, custom_objects)

        shapes = RankerShapes.from_dict(config["vocabularies"])
        interests = [restore(interest) for interest in config["interests"]]
        loss = None if config["loss"] is None else restore(config["loss"])
        restored = {"vocabularies": shapes, "interests": interests, "loss": loss}
        return cls(**{**config, **restored})
