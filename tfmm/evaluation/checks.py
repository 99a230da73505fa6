"""What metrics refuse, and why."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfmm.errors import TfmmError

Weighting = Literal["impressions", "uniform"]


def check_weighting(weighting: str) -> None:
    """Refuses a weighting that GAUC does not know."""
    if weighting not in ("impressions", "uniform"):
        raise TfmmError(
            f"GAUC knows no such weighting. Received: weighting={weighting!r}. "
            'Use "impressions" or "uniform".'
        )


def checked(
    labels: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels as booleans and finite scores, both `[n]`, or a `TfmmError`."""
    y, s = np.asarray(labels), np.asarray(scores, np.float64)
    if y.ndim != 1 or y.shape != s.shape or not len(y):
        raise TfmmError(
            "Labels and scores must be two columns of the same length, not empty. "
            f"Received: labels {y.shape} and scores {s.shape}. "
            "Give one of each per row."
        )
    if not np.isfinite(s).all():
        raise TfmmError(
            "Scores must be finite. "
            f"Received: {int((~np.isfinite(s)).sum())} NaN or infinite of {len(s)}. "
            "Find out why the model predicts them."
        )
    binary = (y == 0) | (y == 1)
    if not binary.all():
        raise TfmmError(
            "Labels must be 0 or 1. "
            f"Received: {y[~binary][:3].tolist()} among them. "
            "Binarise the label first."
        )
    return y.astype(bool), s


def checked_probabilities(
    labels: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """As `checked`, and every value between 0 and 1."""
    positive, p = checked(labels, probabilities)
    if p.min() < 0 or p.max() > 1:
        raise TfmmError(
            "Probabilities must lie between 0 and 1. "
            f"Received: values from {p.min():.4g} to {p.max():.4g}. "
            "Apply the sigmoid to logits first."
        )
    return positive, p
