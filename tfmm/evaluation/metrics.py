"""Exact ranking and calibration metrics over flat columns, in numpy alone.

Every metric takes one row per shown item. AUC and GAUC sort: no thresholds, no
buckets, so they stay right when scores crowd near zero, and equal scores share
their average rank, so a constant model scores 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfmm.errors import TfmmError
from tfmm.evaluation.checks import (
    Weighting,
    check_weighting,
    checked,
    checked_probabilities,
)


@dataclass(frozen=True)
class GroupedAuc:
    """The value of a grouped AUC together with what it rests on.

    Attributes:
        value: the weighted mean of the users' AUCs.
        usable_share: share of impressions that belong to a user with both a
            positive and a negative label; the others say nothing about order.
        users: number of such users.
    """

    value: float
    usable_share: float
    users: int


@dataclass(frozen=True)
class UserAucs:
    """AUC of every user that has both classes, users in ascending order.

    Attributes:
        users: `[U]` the users.
        aucs: float64 `[U]`.
        impressions: int64 `[U]` rows of each user.
        usable_share: share of all rows that these users hold.
    """

    users: NDArray[np.generic]
    aucs: NDArray[np.float64]
    impressions: NDArray[np.int64]
    usable_share: float


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative.

    Computed from average ranks (Mann-Whitney), so that ties count one half:
    `AUC = (R_pos - P (P + 1) / 2) / (P N)` with `R_pos` the sum of the positives'
    ranks, P the number of positives and N that of negatives.

    Args:
        labels: `[n]` of 0 and 1.
        scores: `[n]` finite numbers, any monotone scale.

    Raises:
        TfmmError: other labels, NaN, different lengths, or one class only.

    Example:
        >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    positive, values = checked(labels, scores)
    one_user = np.zeros(len(positive), np.int8)
    result = _user_aucs(one_user, positive, values)
    if not len(result.aucs):
        raise TfmmError(
            "AUC needs both positive and negative labels. "
            f"Received: {int(positive.sum())} positives in {len(positive)} rows. "
            "Evaluate on more rows."
        )
    return float(result.aucs[0])


def user_aucs(users: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> UserAucs:
    """AUC per user, skipping users whose labels are all equal.

    Args:
        users: `[n]` integers or strings; rows of a user may lie anywhere.
        labels: `[n]` of 0 and 1.
        scores: `[n]` finite numbers.

    Refuses other labels, NaN, and different lengths by a `TfmmError`.

    Example:
        >>> user_aucs(["a", "b", "a"], [1, 1, 0], [0.9, 0.2, 0.1]).users.tolist()
        ['a']
    """
    positive, values = checked(labels, scores)
    groups = np.asarray(users)
    if groups.shape != positive.shape:
        raise TfmmError(
            "Users and labels must have the same length. "
            f"Received: {groups.shape} users and {positive.shape} labels. "
            "Give one user per row."
        )
    return _user_aucs(groups, positive, values)


def gauc(
    users: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    weighting: Weighting = "impressions",
) -> GroupedAuc:
    """Grouped AUC: how well each user's own items are ordered.

    `GAUC = sum_u n_u AUC_u / sum_u n_u` over the users with both classes, with `n_u`
    the user's impressions, or 1 with `weighting="uniform"`.

    Args:
        users: `[n]` integers or strings.
        labels: `[n]` of 0 and 1.
        scores: `[n]` finite numbers.
        weighting: "impressions" (the usual definition) or "uniform".

    Raises:
        TfmmError: bad columns, an unknown weighting, or no user with both classes.

    Example:
        >>> gauc([1, 1, 2, 2, 3], [1, 0, 1, 0, 1], [0.9, 0.1, 0.2, 0.7, 0.5])
        GroupedAuc(value=0.5, usable_share=0.8, users=2)
    """
    check_weighting(weighting)
    parts = user_aucs(users, labels, scores)
    if not len(parts.aucs):
        raise TfmmError(
            "GAUC needs at least one user with both positive and negative labels. "
            f"Received: {np.size(labels)} rows, none of such a user. "
            "Evaluate on more rows."
        )
    return weighted_auc(parts, weighting)


def weighted_auc(parts: UserAucs, weighting: Weighting = "impressions") -> GroupedAuc:
    """The weighted mean of users' AUCs; `gauc` for parts that are at hand.

    Example:
        >>> weighted_auc(user_aucs([1, 1, 2, 2], [1, 0, 1, 0], [2, 1, 0, 0])).value
        0.75
    """
    weights = parts.impressions if weighting == "impressions" else None
    value = float(np.average(parts.aucs, weights=weights))
    return GroupedAuc(value, parts.usable_share, len(parts.aucs))


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative log-likelihood of the labels, in nats.

    `-mean(y log p + (1 - y) log(1 - p))`, with p kept within 1e-15 of 0 and 1.
    Refuses what `auc` refuses, and values outside 0..1.

    Example:
        >>> round(log_loss([1, 0], [0.5, 0.5]), 4)
        0.6931
    """
    positive, p = checked_probabilities(labels, probabilities)
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(positive, np.log(p), np.log1p(-p))))


def calibration(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean predicted over mean observed rate; above 1 the model promises too much.

    Refuses what `log_loss` refuses, and columns without a positive label.

    Example:
        >>> calibration([1, 0, 0, 0], [0.5, 0.5, 0.25, 0.25])
        1.5
    """
    positive, p = checked_probabilities(labels, probabilities)
    if not positive.any():
        raise TfmmError(
            "Calibration needs a positive label. "
            f"Received: 0 positives in {len(positive)} rows. Evaluate on more rows."
        )
    return float(p.mean() / positive.mean())


def _user_aucs(
    users: NDArray[np.generic], positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> UserAucs:
    # One integer a row sorts by user, then score: faster than np.lexsort of the two.
    user, known = numbered(users)
    rows = np.sort(user << 32 | numbered(scores)[0] << 1 | positive)
    positive = (rows & 1).astype(bool)
    starts = np.flatnonzero(_changes(rows >> 32))
    sizes = np.diff(starts, append=len(rows))
    # Equal values share the mean of their positions, counted from 1 in each user.
    runs = np.flatnonzero(_changes(rows >> 1))
    lengths = np.diff(runs, append=len(rows))
    ranks = np.repeat(runs + (lengths + 1) / 2, lengths)
    positives = np.add.reduceat(positive.astype(np.int64), starts)
    rank_sums = np.add.reduceat(np.where(positive, ranks, 0.0), starts)
    usable = (positives > 0) & (positives < sizes)
    p, n = positives[usable].astype(np.float64), sizes[usable]
    wins = rank_sums[usable] - p * starts[usable] - p * (p + 1) / 2
    share = float(n.sum() / len(rows))
    return UserAucs(known[usable], wins / (p * (n - p)), n, share)


def numbered(
    values: NDArray[np.generic],
) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
    """Each value's place among the distinct ones, and those in ascending order.

    As `np.unique` with its inverse, which sorts stably and so takes several times as
    long.
    """
    order = np.argsort(values)
    ordered = values[order]
    new = _changes(ordered)
    places = np.empty(len(values), np.int64)
    places[order] = np.cumsum(new) - 1
    return places, ordered[new]


def _changes(ordered: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; true at the first."""
    new = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new
