"""Two towers for the stage before ranking: users and items as vectors of one space."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.embedding import Embedding
from tfmm.layers.gather import gather_rows
from tfmm.layers.masks import valid_mask
from tfmm.ranking.exact_top_k import top_k
from tfmm.ranking.features import FeatureInputs
from tfmm.ranking.request_model import (
    Batch,
    RequestModel,
    check_batch,
    mean_of_replicas,
)
from tfmm.ranking.request_rows import RequestRows
from tfmm.ranking.request_tables import RequestTables
from tfmm.ranking.retrieval_loss import retrieval_losses, retrieval_task
from tfmm.ranking.shapes import RankerShapes, example_batch, ranker_shapes
from tfmm.ranking.two_towers import VectorTower, item_inputs, user_inputs
from tfmm.ranking.views import Views
from tfmm.records.index import FIRST_ROW
from tfmm.records.spec import RequestSpec

ITEMS_AT_ONCE = 8192
_OPTIONS = ("name", "embedding_dim", "dimension", "temperature")


@keras.saving.register_keras_serializable(package="tfmm")
class RetrievalModel(RequestModel):
    """Retrieves items for a request by the dot product of two vectors of length 1.

    The user tower reads user, context and history of a request, the item tower an
    item's ID embedding, features and, with a catalog, its vectors: the features a
    ranker reads, without those of candidates. Every click is a positive; the other
    clicks of the batch are its negatives, corrected for how often items occur in
    training (`tfmm.ranking.retrieval_loss.retrieval_losses`).

    Args:
        vocabularies: As of `RankingModel`.
        catalog: As of `RankingModel`. None for towers without vectors.
        modalities: Names of the catalog's modalities to use. Defaults to all.
        embedding_dim: int. Dimension of every embedding. Defaults to 16.
        hidden: Units of each tower's hidden layers. Defaults to (128,).
        dimension: int. Length d of the two vectors. Defaults to 32.
        temperature: What dot products are divided by in the loss. Defaults to 0.05.
        label: The label whose 1 is a positive. Defaults to the spec's first.

    Input:
        The dict of `tfmm.data.requests`; in `fit` with `label_<label>`.

    Output shape:
        float32 user vectors `[B, d]`.

    Raises:
        TfmmError: A label that requests do not have, or a backend other than
            TensorFlow.

    Reference:
        Yi et al., Sampling-bias-corrected neural modeling, RecSys 2019.
    """

    def __init__(
        self,
        vocabularies: Any,
        catalog: Any = None,
        modalities: Sequence[str] | None = None,
        embedding_dim: int = 16,
        hidden: Sequence[int] = (128,),
        dimension: int = 32,
        temperature: float = 0.05,
        label: str | None = None,
        **kwargs: Any,
    ) -> None:
        shapes = ranker_shapes(vocabularies, catalog, modalities)
        label = label or shapes.spec.labels[0]
        _check(shapes.spec, label, temperature)
        kwargs.setdefault("name", "retrieval")
        super().__init__((label,), tasks=[retrieval_task(temperature)], **kwargs)
        self.shapes = shapes
        self.embedding_dim = embedding_dim
        self.hidden = tuple(hidden)
        self.dimension = dimension
        self.temperature = temperature
        self._make_layers()
        if not isinstance(vocabularies, RankerShapes):
            self._tables.fill(vocabularies, catalog)
            counts = vocabularies.items.train_count
            self.probability.assign(_probability(counts, self.items.rows))
        self(example_batch(self.spec))
        self.items_of(np.ones(1, np.int32))

    def _make_layers(self) -> None:
        spec, dim = self.spec, self.embedding_dim
        self._tables = RequestTables.of(self.shapes, dim)
        self.items = self._tables.items
        self.vectors = self._tables.vectors
        self.users = Embedding(spec.users, dim)
        self.event_types = self._tables.event_types
        self.request_features = FeatureInputs(spec.of_scope("user", "context"), dim)
        self.user_tower = VectorTower(self.hidden, self.dimension)
        self.item_tower = VectorTower(self.hidden, self.dimension)
        self.probability = self.add_weight(
            shape=(self.items.rows,),
            initializer=keras.initializers.Constant(1 / self.items.rows),
            trainable=False,
            autocast=False,
            name="probability",
        )

    @property
    def spec(self) -> RequestSpec:
        """Names and sizes of the requests this model takes."""
        return self.shapes.spec

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the catalog this model was built from."""
        return self.shapes.vectors.fingerprint

    def call(self, batch: Batch, training: bool | None = None) -> Any:
        """User vectors of a batch.

        Args:
            batch: A request batch; its candidates are not read.
            training: Without effect.
        """
        names = ["user", "history_item", "history_type", "n_history", "item", "n_items"]
        names += [f.tensor for f in self.spec.of_scope("user", "context")]
        check_batch(batch, tuple(names), "the retrieval model")
        views = Views(RequestRows.of(batch), self._tables)
        return self.user_tower(
            user_inputs(batch, views, self.users, self.request_features)
        )

    def items_of(self, rows: Any) -> Any:
        """Item vectors float32 `[M, d]` of int32 catalog rows `[M]`."""
        rows = ops.convert_to_tensor(rows)
        return self.item_tower(item_inputs(rows, self._tables, self.spec))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        import tensorflow as tf

        (key,) = self.label_keys(x)
        valid = valid_mask(x["n_items"], ops.shape(x["item"])[1])
        known = ops.convert_to_tensor(x["item"]) >= FIRST_ROW
        clicked = tf.where(valid & known & (ops.cast(x[key], "float32") > 0))
        count = tf.shape(clicked)[0]
        # Without a click there is one that does not count: no op meets an empty axis.
        empty = tf.cast(tf.equal(count, 0), tf.int32)
        clicked = tf.concat([clicked, tf.zeros([empty, 2], clicked.dtype)], 0)
        rows = tf.where(empty > 0, FIRST_ROW, tf.gather_nd(x["item"], clicked))
        losses = retrieval_losses(
            self.tasks[0],
            tf.gather(y_pred, clicked[:, 0]),
            self.items_of(rows),
            rows,
            clicked[:, 0],
            gather_rows(self.probability, rows),
        )
        kept = losses * tf.cast(1 - empty, losses.dtype)
        return mean_of_replicas(kept, ops.cast(count, "float32"))

    def item_vectors(self) -> np.ndarray:
        """float32 `[rows, d]` by catalog row; rows 0 and 1, no items, are zeros."""
        starts = range(FIRST_ROW, self.items.rows, ITEMS_AT_ONCE)
        parts = [
            self.items_of(
                np.arange(s, min(s + ITEMS_AT_ONCE, self.items.rows), dtype=np.int32)
            )
            for s in starts
        ]
        none = np.zeros((FIRST_ROW, self.dimension), np.float32)
        return np.concatenate([none, *map(ops.convert_to_numpy, parts)])

    def user_vectors(self, batch: Batch) -> np.ndarray:
        """float32 `[B, d]`, the vectors of a batch's requests."""
        return np.asarray(self.predict_on_batch(dict(batch)))

    def top_k(self, batch: Batch, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Exact top k of all items for each request; see `tfmm.ranking.top_k`.

        Args:
            batch: A request batch.
            k: Items per request.

        Returns:
            int32 catalog rows `[B, k]` and float32 scores `[B, k]`, best first.
        """
        return top_k(self.user_vectors(batch), self.item_vectors(), k)

    def get_config(self) -> dict[str, Any]:
        return {
            **{option: getattr(self, option) for option in _OPTIONS},
            "vocabularies": self.shapes.to_dict(),
            "hidden": list(self.hidden),
            "label": (self.labels or ())[0],
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "RetrievalModel":
        shapes = RankerShapes.from_dict(config["vocabularies"])
        return cls(**{**config, "vocabularies": shapes})


def _check(spec: RequestSpec, label: str, temperature: float) -> None:
    if label not in spec.labels:
        raise TfmmError(
            f"Requests have no such label. Received: label={label!r}, requests with "
            f"{list(spec.labels)}. Name one of these."
        )
    if not temperature > 0:
        raise TfmmError(
            f"The temperature must be positive. Received: {temperature}. Try 0.05."
        )


def _probability(counts: Any, rows: int) -> np.ndarray:
    """Share of each row in training; rows never seen count as seen once."""
    seen = np.maximum(np.pad(np.asarray(counts), (0, rows - len(counts))), 1)
    return (seen / seen.sum()).astype(np.float32)
