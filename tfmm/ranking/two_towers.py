"""The towers of a retrieval model: a vector per request, a vector per item."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfmm.layers.base import Layer
from tfmm.layers.embedding import Embedding
from tfmm.layers.frozen_vectors import unit_vectors
from tfmm.layers.masks import masked_mean
from tfmm.ranking.features import FeatureInputs, standardise
from tfmm.ranking.inputs import request_inputs
from tfmm.ranking.request_model import Batch
from tfmm.ranking.request_tables import RequestTables
from tfmm.ranking.views import Views
from tfmm.records.spec import RequestSpec


class VectorTower(Layer):
    """MLP to vectors of length 1.

    Args:
        hidden: Units of the hidden layers.
        dimension: int. Length d of the vectors.

    Input shape:
        float `[..., k]`.

    Output shape:
        float32 `[..., dimension]`, of length 1.
    """

    def __init__(self, hidden: Sequence[int], dimension: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.hidden_layers = [
            keras.layers.Dense(units, "relu", dtype=policy) for units in hidden
        ]
        self.last = keras.layers.Dense(dimension, dtype=policy)

    def build(self, input_shape: Any) -> None:
        for layer in (*self.hidden_layers, self.last):
            layer.build(input_shape)
            input_shape = (*input_shape[:-1], layer.units)
        self.built = True

    def call(self, inputs: Any) -> Any:
        for layer in self.hidden_layers:
            inputs = layer(inputs)
        vectors = ops.cast(self.last(inputs), "float32")
        return ops.normalize(vectors, axis=-1, epsilon=1e-6)


def user_inputs(
    batch: Batch, views: Views, users: Embedding, features: FeatureInputs
) -> Any:
    """What a user tower reads: a ranker's request inputs, and mean vectors.

    Args:
        batch: A request batch.
        views: What interests see of it.
        users: Embeddings of user codes.
        features: Features of one value a request.

    Returns:
        float `[B, k]`.
    """
    inputs = [request_inputs(batch, views, users, features)]
    for name in views.modalities:
        view = views.modality(name)
        past = ops.logical_and(views.history_mask, view.history.present)
        inputs.append(masked_mean(view.history_units, past))
    return ops.concatenate([ops.cast(x, inputs[0].dtype) for x in inputs], axis=-1)


def item_inputs(rows: Any, tables: RequestTables, spec: RequestSpec) -> Any:
    """What an item tower reads: ID embedding, features, vectors where there are any.

    Args:
        rows: int32 catalog rows `[M]`.
        tables: The model's tables; the vectors of those in it are read.
        spec: Names the numeric item features.

    Returns:
        float `[M, k]`.
    """
    inputs = [tables.items(rows)]
    numeric = [f for f in spec.of_scope("item") if f.kind == "numeric"]
    if numeric:
        inputs.append(standardise(tables.items.numbers_of(rows), numeric))
    for table in tables.vectors.values():
        found = table(rows)
        inputs += [unit_vectors(found), found.present[..., None]]
    return ops.concatenate([ops.cast(x, inputs[0].dtype) for x in inputs], axis=-1)
