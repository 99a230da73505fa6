"""Calibrated probabilities: Platt scaling on validation requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfmm.errors import TfmmError

STEPS = 100
TOLERANCE = 1e-10
SMALLEST_SPREAD = 1e-6


class Platt(NamedTuple):
    """`logit' = scale * logit + shift`.

    Attributes:
        scale: a, positive.
        shift: b.
    """

    scale: float
    shift: float


def platt_scaling(logits: ArrayLike, labels: ArrayLike) -> Platt:
    """The scale and shift under which the labels are most likely.

    Minimises the logistic loss of `a * logit + b` by Newton's method with backtracking.
    The targets are Platt's, `(n1 + 1) / (n1 + 2)` for the n1 positives and
    `1 / (n0 + 2)` for the n0 others, so that a perfect separation has a finite optimum.

    Args:
        logits: float `[n]`, finite.
        labels: `[n]` of 0 and 1.

    Raises:
        TfmmError: One class alone, logits that are all the same or not finite, or
            logits that go against the labels: only a negative a would help, and that
            would turn the order round.

    Reference:
        Platt, 1999; Lin, Lin and Weng, A note on Platt's probabilistic outputs, 2007.

    Example:
        >>> labels = [1, 1, 1, 0, 1, 0, 0, 0]
        >>> found = platt_scaling([2, 2, 2, 2, -2, -2, -2, -2], labels)
        >>> round(found.scale, 3), round(abs(found.shift), 3)
        (0.347, 0.0)
    """
    x = np.asarray(logits, np.float64).ravel()
    positive = np.asarray(labels).ravel() > 0.5
    _check(x, positive)
    center, spread = x.mean(), x.std()
    target = _targets(positive)
    a, b = _newton((x - center) / spread, target)
    if not a > SMALLEST_SPREAD:
        raise TfmmError(
            "These scores do not rank the labels, so no positive scale calibrates "
            f"them. Received: best scale {a / spread:.3g}. Train longer, or give more "
            "validation requests."
        )
    return Platt(float(a / spread), float(b - a * center / spread))


def calibrate(
    ranker: Any, requests: Iterable[Mapping[str, Any]] | None, rate: float = 1.0
) -> dict[str, Platt]:
    """Calibrates a ranker in place, every head on its own label.

    The scale and the shift become weights of the ranker: saved, exported and served
    scores are calibrated, `fit` ignores them, and no order (GAUC) changes. Calibrating
    again starts afresh.

    Where only a share r of the negatives was kept, odds are 1 / r times too high:
    `logit + log(r)` corrects that.

    Args:
        ranker: A `RankingModel`.
        requests: Validation batches of `tfmm.data.requests`, never those trained on.
            None corrects for the rate alone.
        rate: The share of negatives kept in training and in `requests`. Defaults to 1,
            all.

    Returns:
        The scale and shift of every label.

    Raises:
        TfmmError: A rate outside (0, 1], no request, or what `platt_scaling` refuses.
    """
    if not 0 < rate <= 1:
        raise TfmmError(
            "The rate is the share of negatives that were kept. Received: "
            f"rate={rate}. Give a number above 0 and at most 1."
        )
    labels = tuple(ranker.labels)
    if requests is None:
        found = dict.fromkeys(labels, Platt(1.0, 0.0))
    else:
        columns = _raw_logits(ranker, requests)
        found = {label: platt_scaling(*columns[label]) for label in labels}
    shift = float(np.log(rate))
    found = {label: Platt(a, b + shift) for label, (a, b) in found.items()}
    ranker.calibration.assign(*zip(*found.values(), strict=True))
    return found


def _raw_logits(
    ranker: Any, requests: Iterable[Mapping[str, Any]]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Uncalibrated logits and labels of all valid candidates, by label."""
    from tfmm.ranking.heads import by_label

    scale, shift = map(np.asarray, (ranker.calibration.scale, ranker.calibration.shift))
    parts: dict[str, list[Any]] = {label: [] for label in ranker.labels}
    for batch in requests:
        arrays = {name: np.asarray(value) for name, value in batch.items()}
        width = arrays["item"].shape[1]
        valid = np.arange(width) < arrays["n_items"][:, None]
        heads = by_label(ranker, ranker.predict_on_batch(arrays))
        for place, (label, logits) in enumerate(heads.items()):
            raw = np.asarray(logits, np.float64)[valid] - shift[place]
            kept = arrays[f"label_{label}"][valid]
            parts[label].append((raw / scale[place], kept))
    if not any(parts.values()):
        raise TfmmError(
            "There is nothing to calibrate on. Received: no request. Check the folder "
            "of the validation timelines."
        )
    return {
        label: (np.concatenate([x for x, _ in p]), np.concatenate([y for _, y in p]))
        for label, p in parts.items()
    }


def _check(x: NDArray[np.float64], positive: NDArray[np.bool_]) -> None:
    if x.shape != positive.shape or not np.isfinite(x).all():
        raise TfmmError(
            "Calibration needs one finite logit per label. Received: "
            f"{x.size} logits, {int((~np.isfinite(x)).sum())} of them not finite, for "
            f"{positive.size} labels. Look for NaN in the features."
        )
    if positive.all() or not positive.any():
        raise TfmmError(
            "Calibration needs both classes. Received: "
            f"{int(positive.sum())} positives in {positive.size} rows. Give more "
            "validation requests."
        )
    if not x.std() > SMALLEST_SPREAD * max(1.0, float(np.abs(x).max())):
        raise TfmmError(
            "Calibration needs scores that differ. Received: "
            f"{x.size} logits, all {x[0]:.4g}. Train the ranker first."
        )


def _targets(positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    ones, zeros = positive.sum(), (~positive).sum()
    return np.where(positive, (ones + 1) / (ones + 2), 1 / (zeros + 2))


def _newton(x: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, float]:
    """a and b of the least mean logistic loss of `a * x + b`; the loss is convex."""
    rate = target.mean()
    point = np.array([0.0, np.log(rate / (1 - rate))])
    loss = _loss(point, x, target)
    for _ in range(STEPS):
        z = point[0] * x + point[1]
        p = 1 / (1 + np.exp(-z))
        error, weight = p - target, p * (1 - p)
        gradient = np.array([np.mean(error * x), np.mean(error)])
        if np.abs(gradient).max() < TOLERANCE:
            break
        cross = np.mean(weight * x)
        hessian = np.array([[np.mean(weight * x * x), cross], [cross, weight.mean()]])
        step = np.linalg.solve(hessian + 1e-12 * np.eye(2), gradient)
        size = 1.0
        while size > 1e-8 and _loss(point - size * step, x, target) > loss:
            size /= 2
        point = point - size * step
        loss = _loss(point, x, target)
    return point[0], point[1]


def _loss(
    point: NDArray[np.float64], x: NDArray[np.float64], target: NDArray[np.float64]
) -> float:
    z = point[0] * x + point[1]
    return float(np.mean(np.logaddexp(0, z) - target * z))
