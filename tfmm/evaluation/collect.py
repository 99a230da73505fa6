"""From a model and its batches to flat columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfmm.errors import TfmmError
from tfmm.evaluation.columns import Columns

Batch = Mapping[str, Any]
Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def collect(
    model: Callable[[Any], Any], dataset: Iterable[Batch], label: str | None = None
) -> Columns:
    """Scores every request of a data set and keeps the valid candidates only.

    Candidates at positions `>= n_items` are padding and never reach a metric.
    Probabilities are the float64 sigmoid of the logits, which does not saturate.

    Args:
        model: anything callable on the batch dict that gives logits `[B, N]`, or a dict
            of them by label; a Keras model is run through its compiled
            `predict_on_batch`.
        dataset: batches as dicts with at least `user_key` `[B]`, `time` `[B]`,
            `n_history` `[B]`, `item` `[B, N]`, `n_items` `[B]`, `label_*` `[B, N]`.
        label: which label to collect. Defaults to the first of `model.labels`, then of
            `model.spec.labels`, then to the only one in the batch.

    Raises:
        TfmmError: a missing key, an unclear label, a label that none of several heads
            predicts, logits of another shape or not
            finite, or an empty data set.

    Example:
        >>> batch = {"user_key": [7], "time": [0], "n_history": [1], "n_items": [2],
        ...          "item": [[3, 4, 0]], "label_click": [[1.0, 0.0, 0.0]]}
        >>> rows = collect(lambda batch: np.zeros([1, 3]), [batch])
        >>> rows.item.tolist(), rows.probability.tolist()
        ([3, 4], [0.5, 0.5])
    """
    predict = getattr(model, "predict_on_batch", model)

    def scored(batch: Arrays) -> tuple[Floats, Mask]:
        output = predict(batch)
        if isinstance(output, Mapping):
            output = _head(output, label or _label_name(model, batch))
        logits = np.asarray(output, np.float64)
        valid = _valid(batch, logits)
        _check_finite(
            logits[valid],
            "The model's logits must be finite",
            "Lower the learning rate or look for NaN in the features",
        )
        return _sigmoid(logits[valid]), valid

    return _collected(dataset, scored, model, label)


def collect_logged(dataset: Iterable[Batch], label: str | None = None) -> Columns:
    """The production model's logged scores of the same impressions, as they are.

    Nothing is trained: the scores are the `base_score` of the batches. They need not be
    probabilities; LogLoss and calibration are left out where they are not.

    Args:
        dataset: batches as `collect` takes them, with `base_score` `[B, N]`.
        label: which label to collect. Defaults to the only one in the batch.

    Raises:
        TfmmError: what `collect` refuses, and batches without `base_score`.

    Example:
        >>> batch = {"user_key": [7], "time": [0], "n_history": [1], "n_items": [2],
        ...          "item": [[3, 4, 0]], "label_click": [[1.0, 0.0, 0.0]],
        ...          "base_score": [[0.25, 0.5, 0.0]]}
        >>> collect_logged([batch]).probability.tolist()
        [0.25, 0.5]
    """

    def scored(batch: Arrays) -> tuple[Floats, Mask]:
        if "base_score" not in batch:
            raise TfmmError(
                "The batch carries no logged score. "
                f"Received: {sorted(batch)}. Name the column as `base_score` of "
                "`impressions` in the schema and run the road again."
            )
        scores = batch["base_score"].astype(np.float64)
        valid = _valid(batch, scores)
        _check_finite(
            scores[valid],
            "Logged scores must be finite",
            "Fill or drop the impressions without a score",
        )
        return scores[valid], valid

    return _collected(dataset, scored, None, label)


def _collected(
    dataset: Iterable[Batch],
    scored: Callable[[Arrays], tuple[Floats, Mask]],
    model: object,
    label: str | None,
) -> Columns:
    parts: list[Arrays] = []
    requests = 0
    for batch in dataset:
        arrays = {key: np.asarray(value) for key, value in batch.items()}
        name = label or _label_name(model, arrays)
        _check_keys(arrays, name)
        scores, valid = scored(arrays)
        parts.append(_valid_rows(arrays, scores, valid, name, requests))
        requests += len(arrays["n_items"])
    if not parts:
        raise TfmmError(
            "There is nothing to evaluate. Received: a data set without batches. "
            "Check the folder and the split it was read from."
        )
    return Columns(**{k: np.concatenate([p[k] for p in parts]) for k in parts[0]})


def _valid(batch: Arrays, scores: Floats) -> Mask:
    """Which candidates `[B, N]` are no padding."""
    items = batch["item"]
    if scores.shape != items.shape:
        raise TfmmError(
            "The model must give one logit per candidate. "
            f"Received: logits {scores.shape} for candidates {items.shape}. "
            "Return [B, N]."
        )
    return np.arange(items.shape[1]) < batch["n_items"][:, None]


def _check_finite(scores: Floats, what: str, remedy: str) -> None:
    if not np.isfinite(scores).all():
        raise TfmmError(
            f"{what}. Received: {int((~np.isfinite(scores)).sum())} NaN or infinite. "
            f"{remedy}."
        )


def _valid_rows(
    batch: Arrays, scores: Floats, valid: Mask, label: str, first: int
) -> Arrays:
    request, _ = np.nonzero(valid)
    return {
        "user_key": batch["user_key"][request],
        "item": batch["item"][valid],
        "time": batch["time"][request],
        "label": batch[f"label_{label}"][valid],
        "probability": scores,
        "n_history": batch["n_history"][request],
        "request": first + request,
    }


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def _head(logits: Mapping[str, Any], label: str) -> Any:
    if label not in logits:
        raise TfmmError(
            "None of the model's heads predicts this label. "
            f"Received: label={label!r}, heads for {list(logits)}. Name one of these."
        )
    return logits[label]


def _label_name(model: object, batch: dict[str, NDArray[Any]]) -> str:
    for source in (model, getattr(model, "spec", None)):
        if labels := getattr(source, "labels", None):
            return str(labels[0])
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
