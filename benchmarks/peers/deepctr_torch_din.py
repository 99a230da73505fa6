"""DIN of DeepCTR-Torch as a worker; see `rounds`."""

import numpy as np
import torch
from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat
from deepctr_torch.models import DIN
from rounds import ATTENTION, EMBEDDING, HIDDEN, Given, serve, torch_batches


class DeepCtrTorch:
    """The step of its `fit` on slices of tensors, without its loader and its metrics.

    ReLU in the attention and no regularisation, which is faster than its own choice.
    The loss is a sum over the batch, as in its `fit`.
    """

    def __init__(self, given: Given) -> None:
        self.given = given
        items, users = int(given.data["ids"]), int(given.data["users"])
        length = given.data["row_history"].shape[1]
        history = SparseFeat("hist_item", items, EMBEDDING, embedding_name="item")
        columns = [
            SparseFeat("user", users, EMBEDDING),
            SparseFeat("item", items, EMBEDDING),
            VarLenSparseFeat(history, maxlen=length, length_name="length"),
        ]
        self.model = DIN(
            columns,
            ["item"],
            dnn_hidden_units=HIDDEN,
            att_hidden_size=ATTENTION,
            att_activation="relu",
            l2_reg_embedding=0,
        )
        optimizer = torch.optim.Adam(self.model.parameters(), given.rate)
        self.model.compile(optimizer, "binary_crossentropy")
        self.batches = [
            (self._inputs(*inputs), torch.from_numpy(label))
            for *inputs, label in torch_batches(given)
        ]

    def _inputs(
        self, user: np.ndarray, item: np.ndarray, history: np.ndarray
    ) -> torch.Tensor:
        """Its models take one float tensor, columns in the order of the features."""
        length = (history != 0).sum(axis=1)
        values = {"user": user, "item": item, "hist_item": history, "length": length}
        columns = sorted(self.model.feature_index.items(), key=lambda part: part[1])
        parts = [values[name].reshape(len(user), -1) for name, _ in columns]
        return torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32))

    def train(self, begin: int, end: int) -> None:
        model = self.model.train()
        for inputs, label in self.batches[begin:end]:
            click = model(inputs).squeeze(-1)
            model.optim.zero_grad()
            loss = model.loss_func(click, label, reduction="sum")
            loss.backward()
            model.optim.step()

    @torch.no_grad()
    def scores(self) -> np.ndarray:
        rows = self._inputs(**self.given.test_rows())
        model = self.model.eval()
        return torch.cat([model(part) for part in rows.split(4096)])[:, 0].numpy()


if __name__ == "__main__":
    serve(DeepCtrTorch)
