"""GAUC of held-out requests after every epoch: the two clocks of a ranker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from tfmm.errors import TfmmError
from tfmm.evaluation.collect import Batch, collect
from tfmm.evaluation.metrics import auc, gauc, log_loss

METRICS = ("gauc", "auc", "log_loss")


class EpochMonitor(keras.callbacks.Callback):
    """Exact GAUC, AUC and LogLoss of held-out requests after every epoch of `fit`.

    ID embeddings overfit in their second epoch, while a model of multimodal vectors
    alone (`MAKE`) keeps improving: two clocks, which the training loss does not show.
    The values go into `fit`'s logs and history as `val_gauc`, `val_auc` and
    `val_log_loss`, where `keras.callbacks.EarlyStopping("val_gauc", mode="max")` (named
    after this callback) and other callbacks find them.

    Args:
        requests: Batches as `tfmm.evaluation.collect` takes them, read again after each
            epoch: those of `tfmm.data.requests`, or a list of them, which is faster.
        prefix: What the names begin with. Defaults to `"val"`.
        metrics: Which of `"gauc"`, `"auc"`, `"log_loss"` to compute. Defaults to all.
        label: Which label. Defaults to the model's first.

    Attributes:
        history: Metric name -> one value per epoch.

    Raises:
        TfmmError: An unknown metric.

    Reference:
        Figure 3 of arXiv 2407.19467.

    Example:
        >>> EpochMonitor([], metrics=["gauc"]).names
        ['val_gauc']
    """

    def __init__(
        self,
        requests: Iterable[Batch],
        prefix: str = "val",
        metrics: Sequence[str] = METRICS,
        label: str | None = None,
    ) -> None:
        super().__init__()
        if unknown := sorted(set(metrics) - set(METRICS)):
            raise TfmmError(
                f"The monitor knows no such metrics. Received: {unknown}. "
                f"Choose among {', '.join(METRICS)}."
            )
        self.requests = requests
        self.prefix = prefix
        self.metrics = tuple(metrics)
        self.label = label
        self.history: dict[str, list[float]] = {}

    @property
    def names(self) -> list[str]:
        """The names of its values in `fit`'s history."""
        return [f"{self.prefix}_{metric}" for metric in self.metrics]

    def on_train_begin(self, logs: Any = None) -> None:
        self.history = {name: [] for name in self.names}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        columns = collect(self.model, self.requests, self.label)
        y, p = columns.label, columns.probability
        compute = {
            "gauc": lambda: gauc(columns.user_key, y, p).value,
            "auc": lambda: auc(y, p),
            "log_loss": lambda: log_loss(y, p),
        }
        for name, metric in zip(self.names, self.metrics, strict=True):
            value = float(compute[metric]())
            self.history[name].append(value)
            if logs is not None:
                logs[name] = value
