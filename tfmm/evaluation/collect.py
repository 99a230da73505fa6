"""From a model and its batches to flat columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfmm.errors import TfmmError
from tfmm.evaluation.columns import Columns

Batch = Mapping[str, Any]


def collect(
    model: Callable[[Any], Any], dataset: Iterable[Batch], label: str | None = None
) -> Columns:
    """Scores every request of a data set and keeps the valid candidates only.

    Candidates at positions `>= n_items` are padding and never reach a metric.
    Probabilities are the float64 sigmoid of the logits, which does not saturate.

    Args:
        model: anything callable on the batch dict that gives logits `[B, N]`; a Keras
            model is run through its compiled `predict_on_batch`.
        dataset: batches as dicts with at least `user_key` `[B]`, `time` `[B]`,
            `n_history` `[B]`, `item` `[B, N]`, `n_items` `[B]`, `label_*` `[B, N]`.
        label: which label to collect. Defaults to the first of `model.spec.labels`,
            else to the only one in the batch.

    Raises:
        TfmmError: a missing key, an unclear label, logits of another shape or not
            finite, or an empty data set.

    Example:
        >>> batch = {"user_key": [7], "time": [0], "n_history": [1], "n_items": [2],
        ...          "item": [[3, 4, 0]], "label_click": [[1.0, 0.0, 0.0]]}
        >>> rows = collect(lambda batch: np.zeros([1, 3]), [batch])
        >>> rows.item.tolist(), rows.probability.tolist()
        ([3, 4], [0.5, 0.5])
    """
    predict = getattr(model, "predict_on_batch", model)
    parts: list[dict[str, NDArray[Any]]] = []
    requests = 0
    for batch in dataset:
        arrays = {key: np.asarray(value) for key, value in batch.items()}
        name = label or _label_name(model, arrays)
        _check_keys(arrays, name)
        logits = np.asarray(predict(arrays), np.float64)
        parts.append(_valid_rows(arrays, logits, name, requests))
        requests += len(arrays["n_items"])
    if not parts:
        raise TfmmError(
            "There is nothing to evaluate. Received: a data set without batches. "
            "Check the folder and the split it was read from."
        )
    return Columns(**{k: np.concatenate([p[k] for p in parts]) for k in parts[0]})


def _valid_rows(
    batch: dict[str, NDArray[Any]], logits: NDArray[np.float64], label: str, first: int
) -> dict[str, NDArray[Any]]:
    items = batch["item"]
    if logits.shape != items.shape:
        raise TfmmError(
            "The model must give one logit per candidate. "
            f"Received: logits {logits.shape} for candidates {items.shape}. "
            "Return [B, N]."
        )
    valid = np.arange(items.shape[1]) < batch["n_items"][:, None]
    if not np.isfinite(logits[valid]).all():
        raise TfmmError(
            "The model's logits must be finite. "
            f"Received: {int((~np.isfinite(logits[valid])).sum())} NaN or infinite. "
            "Lower the learning rate or look for NaN in the features."
        )
    request, _ = np.nonzero(valid)
    return {
        "user_key": batch["user_key"][request],
        "item": items[valid],
        "time": batch["time"][request],
        "label": batch[f"label_{label}"][valid],
        "probability": _sigmoid(logits[valid]),
        "n_history": batch["n_history"][request],
        "request": first + request,
    }


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def _label_name(model: object, batch: dict[str, NDArray[Any]]) -> str:
    spec = getattr(model, "spec", None)
    if spec is not None and getattr(spec, "labels", None):
        return str(spec.labels[0])
    found = [key.removeprefix("label_") for key in batch if key.startswith("label_")]
    if len(found) != 1:
        raise TfmmError(
            "It is not clear which label to evaluate. "
            f"Received: labels {found}. Name one with label=."
        )
    return found[0]


def _check_keys(batch: dict[str, NDArray[Any]], label: str) -> None:
    needed = ["user_key", "time", "n_history", "item", "n_items", f"label_{label}"]
    missing = [key for key in needed if key not in batch]
    if missing:
        raise TfmmError(
            f"The batch lacks {', '.join(missing)}. Received: {sorted(batch)}. "
            "Evaluate on the batches of tfmm.data.requests, or add these keys."
        )
