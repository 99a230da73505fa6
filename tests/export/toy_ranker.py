"""A small hand-made ranker of the contract's shape, with an int8 table."""

from types import SimpleNamespace

import keras
import numpy as np
from keras import ops

from tfmm.records.index import ItemIndex
from tfmm.records.spec import Feature, RequestSpec

SPEC = RequestSpec(
    users=4,
    items=7,
    rows=8,
    features=(
        Feature("age", "categorical", "user", 4),
        Feature("hour", "categorical", "context", 4),
        Feature("delay", "numeric", "context", 0),
        Feature("color", "categorical", "candidate", 4),
        Feature("price", "numeric", "candidate", 0),
    ),
    event_types=("click", "order"),
    labels=("click",),
    max_history=4,
    max_items=5,
)
VALUES = {
    "user": ["11", "22"],
    "user_age": ["old", "young"],
    "context_hour": ["1", "2"],
    "candidate_color": ["blue", "red"],
}
VOCABULARIES = SimpleNamespace(values=VALUES)
IDS = ["a", "b", "c", "d", "e", "f"]


def index(id_type="string"):
    ids = IDS if id_type == "string" else ["10", "20", "30", "40", "50", "60"]
    return ItemIndex.create(ids, id_type)


class ToyRanker(keras.Model):
    """logit = <user + context + history mean, item> with an int8 vector table."""

    def __init__(self, spec=SPEC, dimension=8, seed=0):
        super().__init__()
        self.spec = spec
        generator = np.random.default_rng(seed)
        self.table = self.add_weight(
            shape=(spec.rows, dimension),
            initializer="zeros",
            dtype="int8",
            trainable=False,
            name="table",
        )
        codes = generator.integers(-127, 128, (spec.rows, dimension))
        codes[[0, 1, 5]] = 0
        self.table.assign(codes.astype(np.int8))
        self.embeddings = {
            name: keras.layers.Embedding(size, dimension, name=name)
            for name, size in {
                "user": spec.users,
                "type": len(spec.event_types) + 2,
                **{f.tensor: f.size for f in spec.features if f.size},
            }.items()
        }
        self.dense = keras.layers.Dense(dimension)
        self.dropout = keras.layers.Dropout(0.5)

    def build(self, shapes):
        for layer in self.embeddings.values():
            layer.build((None,))
        self.dense.build((None, self.table.shape[1]))
        super().build(shapes)

    def known(self, rows):
        return ops.any(ops.take(self.table, rows, axis=0) != 0, axis=-1)

    def call(self, batch, training=False):
        user = self.embeddings["user"](batch["user"])
        for feature in self.spec.of_scope("user", "context"):
            value = batch[feature.tensor]
            if feature.kind == "categorical":
                user += self.embeddings[feature.tensor](value)
            else:
                user += 0.1 * value[:, None]
        width = ops.shape(batch["history_item"])[1]
        mask = ops.arange(width) < batch["n_history"][:, None]
        mask = ops.cast(mask, "float32")[..., None]
        events = self._vectors(batch["history_item"])
        events += self.embeddings["type"](batch["history_type"])
        count = ops.maximum(ops.sum(mask, axis=1), 1.0)
        user += self.dense(ops.sum(events * mask, axis=1) / count)
        item = self._vectors(batch["item"])
        for feature in self.spec.of_scope("candidate"):
            value = batch[feature.tensor]
            if feature.kind == "categorical":
                item += self.embeddings[feature.tensor](value)
            else:
                item += 0.01 * value[..., None]
        return ops.einsum("bd,bnd->bn", self.dropout(user, training=training), item)

    def _vectors(self, rows):
        return ops.cast(ops.take(self.table, rows, axis=0), "float32") / 127


def request(id_type="string"):
    """Two requests: a full one, and one of unknowns with an empty history."""
    name = {"a": 10, "b": 20, "c": 30, "d": 40, "e": 50, "": -7, "zzz": -9}

    def ids(rows):
        if id_type == "int64":
            return np.array([[name[i] for i in row] for row in rows], np.int64)
        return np.array(rows, object)

    return {
        "user_key": np.array([22, 99], np.int64),
        "user_age": np.array(["young", "ancient"], object),
        "context_hour": np.array(["1", ""], object),
        "context_delay": np.array([0.5, -1.0], np.float32),
        "history_item_id": ids([["b", "a", "zzz"], ["c", "", ""]]),
        "history_type": np.array([["order", "click", "x"], ["click", "", ""]], object),
        "n_history": np.array([3, 0], np.int32),
        "item_id": ids([["a", "d", "zzz"], ["e", "b", "a"]]),
        "candidate_color": np.array([["red", "", "x"], ["blue", "x", "red"]], object),
        "candidate_price": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        "n_items": np.array([3, 1], np.int32),
    }


def batch():
    """What `request` means inside, written by hand."""
    return {
        "user": np.array([3, 1], np.int32),
        "user_age": np.array([3, 1], np.int32),
        "context_hour": np.array([2, 0], np.int32),
        "context_delay": np.array([0.5, -1.0], np.float32),
        "history_item": np.array([[3, 2, 1], [0, 0, 0]], np.int32),
        "history_type": np.array([[3, 2, 1], [0, 0, 0]], np.int32),
        "n_history": np.array([3, 0], np.int32),
        "item": np.array([[2, 5, 1], [6, 0, 0]], np.int32),
        "candidate_color": np.array([[3, 0, 1], [2, 0, 0]], np.int32),
        "candidate_price": np.array([[1, 2, 3], [4, 0, 0]], np.float32),
        "n_items": np.array([3, 1], np.int32),
    }
