"""DIN of DeepCTR (TensorFlow, tf_keras) as a worker; see `rounds`."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

from typing import Any

import numpy as np
import tensorflow as tf
from deepctr.feature_column import SparseFeat, VarLenSparseFeat
from deepctr.models import DIN
from rounds import ATTENTION, EMBEDDING, HIDDEN, Given, serve


class DeepCtr:
    """`compile` and `fit`; ReLU and no regularisation, which is faster than its own."""

    def __init__(self, given: Given) -> None:
        self.given = given
        items, users = int(given.data["ids"]), int(given.data["users"])
        length = given.data["row_history"].shape[1]
        history = SparseFeat("hist_item", items, EMBEDDING, embedding_name="item")
        columns = [
            SparseFeat("user", users, EMBEDDING),
            SparseFeat("item", items, EMBEDDING),
            VarLenSparseFeat(history, maxlen=length),
        ]
        self.model = DIN(
            columns,
            ["item"],
            dnn_hidden_units=HIDDEN,
            att_hidden_size=ATTENTION,
            att_activation="relu",
            l2_reg_embedding=0,
        )
        self.model.compile(
            tf.keras.optimizers.Adam(given.rate), loss="binary_crossentropy"
        )

    def train(self, begin: int, end: int) -> None:
        inputs = _named(self.given.data, "row")
        label = self.given.data["row_label"][:, None]
        rows = slice(begin * self.given.batch, end * self.given.batch)
        inputs = {name: value[rows] for name, value in inputs.items()}
        self.model.fit(
            inputs, label[rows], batch_size=self.given.batch, shuffle=False, verbose=0
        )

    def scores(self) -> np.ndarray:
        inputs = _named(self.given.data, "test")
        return self.model.predict(inputs, batch_size=4096, verbose=0)[:, 0]


def _named(data: dict[str, np.ndarray], part: str) -> dict[str, Any]:
    return {
        "user": data[f"{part}_user"],
        "item": data[f"{part}_item"],
        "hist_item": data[f"{part}_history"],
    }


if __name__ == "__main__":
    serve(DeepCtr)
