"""tfmm's ranker with DIN as a worker; see `rounds`.

A last argument `rows` or `requests`: a request of one candidate for each row, which is
what the peers get, or the requests as logs have them, whose history is read once.
"""

import sys
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rounds import ATTENTION, EMBEDDING, HIDDEN, Given, serve

from tfmm.ranking import DinInterest, LazyAdam, RankingModel
from tfmm.records.spec import RequestSpec


class Tfmm:
    """`compile` and `fit`, with the AUC metric that they have and the peers lack."""

    def __init__(self, given: Given) -> None:
        keras.utils.set_random_seed(0)
        self.given = given
        data, requests = given.data, sys.argv[4] == "requests"
        part = "request" if requests else "row"
        batch = request_batch(*(data[f"{part}_{name}"] for name in NAMES))
        steps = -(-len(data["row_user"]) // given.batch)
        self.size = -(-len(batch["user"]) // steps)
        self.batch = batch
        self.model = RankingModel(
            vocabularies(int(data["ids"]), int(data["users"]), batch),
            interests=(DinInterest(ATTENTION),),
            embedding_dim=EMBEDDING,
            hidden=HIDDEN,
        )
        self.model.compile(LazyAdam(given.rate))

    def train(self, begin: int, end: int) -> None:
        part = slice(begin * self.size, end * self.size)
        rows = {name: value[part] for name, value in self.batch.items()}
        data = tf.data.Dataset.from_tensor_slices(rows).batch(self.size).prefetch(2)
        self.model.fit(data, verbose=0)

    def scores(self) -> np.ndarray:
        rows = self.given.test_rows()
        batch = request_batch(**rows, label=np.zeros(len(rows["user"]), np.float32))
        batches = tf.data.Dataset.from_tensor_slices(batch).batch(4096)
        return self.model.predict(batches, verbose=0)[:, 0]


NAMES = ("user", "item", "history", "label")


def request_batch(
    user: np.ndarray, item: np.ndarray, history: np.ndarray, label: np.ndarray
) -> dict[str, np.ndarray]:
    """Rows or requests as `tfmm.data.requests` gives them."""
    if item.ndim == 1:
        item, label = item[:, None], label[:, None]
    return {
        "user": user,
        "history_item": history,
        "history_type": (2 * (history != 0)).astype(np.int32),
        "n_history": (history != 0).sum(axis=1).astype(np.int32),
        "item": item,
        "n_items": (item != 0).sum(axis=1).astype(np.int32),
        "label_click": label,
    }


def vocabularies(ids: int, users: int, batch: dict[str, np.ndarray]) -> Any:
    """Sizes without a data set on disk; every item has an embedding of its own."""
    lengths = batch["history_item"].shape[1], batch["item"].shape[1]
    spec = RequestSpec(users, ids, ids, (), ("view",), ("click",), *lengths)
    items = SimpleNamespace(
        embedding_row=np.arange(ids, dtype=np.int32),
        codes=np.zeros((ids, 0), np.int32),
        numbers=np.zeros((ids, 0), np.float32),
    )
    return SimpleNamespace(spec=spec, items=items, index_stamp={})


if __name__ == "__main__":
    serve(Tfmm)
