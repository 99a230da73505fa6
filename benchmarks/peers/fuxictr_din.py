"""DIN of FuxiCTR (PyTorch, its LongCTR collection) as a worker; see `rounds`."""

import tempfile
from typing import Any

import numpy as np
import torch
from fuxictr.features import FeatureMap
from model_zoo.LongCTR.DIN.DIN import DIN
from rounds import ATTENTION, EMBEDDING, HIDDEN, Given, serve, torch_batches


class FuxiCtr:
    """Its `train_step` on slices of tensors, without its loader.

    ReLU in the attention, which is faster than its own choice.
    """

    def __init__(self, given: Given) -> None:
        self.given = given
        self.model = DIN(
            feature_map(given),
            dnn_hidden_units=list(HIDDEN),
            attention_hidden_units=list(ATTENTION),
            attention_hidden_activations="ReLU",
            learning_rate=given.rate,
            embedding_dim=EMBEDDING,
            optimizer="adam",
            loss="binary_crossentropy",
            task="binary_classification",
            metrics=["AUC"],
            model_root=tempfile.gettempdir(),
            verbose=0,
        )
        self.model._max_gradient_norm = 10.0  # The default of its `fit`.
        self.batches = [
            _batch(*inputs, label=label) for *inputs, label in torch_batches(given)
        ]

    def train(self, begin: int, end: int) -> None:
        self.model.train()
        for self.model._batch_index in range(begin, end):
            self.model.train_step(self.batches[self.model._batch_index])

    @torch.no_grad()
    def scores(self) -> np.ndarray:
        self.model.eval()
        rows = self.given.test_rows()
        found = []
        for begin in range(0, len(rows["user"]), 4096):
            part = {name: rows[name][begin : begin + 4096] for name in rows}
            found.append(self.model(_batch(**part))["y_pred"][:, 0].numpy())
        return np.concatenate(found)


def feature_map(given: Given) -> Any:
    """User and item; the item's feature holds the history and then the candidate."""
    found = FeatureMap("impressions", tempfile.gettempdir())
    kind = {"type": "categorical", "padding_idx": 0}
    found.features["user"] = {
        **kind,
        "source": "user",
        "vocab_size": int(given.data["users"]),
    }
    found.features["item"] = {
        **kind,
        "source": "item",
        "vocab_size": int(given.data["ids"]),
    }
    found.labels = ["label"]
    found.num_fields, found.default_emb_dim = 2, EMBEDDING
    return found


def _batch(
    user: np.ndarray,
    item: np.ndarray,
    history: np.ndarray,
    label: np.ndarray | None = None,
) -> tuple[Any, ...]:
    rows = {"user": torch.from_numpy(user).long()}
    if label is not None:
        rows["label"] = torch.from_numpy(label)
    items = torch.from_numpy(np.concatenate([history, item[:, None]], axis=1)).long()
    mask = torch.from_numpy((history != 0).astype(np.float32))
    return rows, {"item": items.reshape(-1)}, mask


if __name__ == "__main__":
    serve(FuxiCtr)
