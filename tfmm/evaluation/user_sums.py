"""Sums over each user's rows, from which metrics follow when users are reweighted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfmm.evaluation.metrics import numbered, user_aucs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class UserSums:
    """One score on one set of rows, summed within its U users.

    Attributes:
        counts: float64 `[U, 4]`, a user's rows, positives, negatives, and the rows that
            count in GAUC (all or none).
        sums: float64 `[U, 4]`, `n_u AUC_u`, the placements of the positives and of the
            negatives, and the loss.
        auc: AUC of all rows.
        log_loss: whether the scores are probabilities, which a loss needs.

    Example:
        >>> sums = user_sums([7, 7, 8], [1, 0, 1], [0.9, 0.4, 0.2])
        >>> sums.counts.tolist()
        [[2.0, 1.0, 1.0, 2.0], [1.0, 1.0, 0.0, 0.0]]
        >>> weights = np.array([[1.0, 1.0], [2.0, 0.0]])
        >>> found = sums.metrics(weights @ sums.counts, weights @ sums.sums)
        >>> found["gauc"].tolist(), found["auc"].tolist()
        ([1.0, 1.0], [0.5, 1.0])
    """

    counts: Floats
    sums: Floats
    auc: float
    log_loss: bool

    def metrics(self, counts: Floats, sums: Floats) -> dict[str, Floats]:
        """GAUC, AUC and LogLoss when users count more or less often than once.

        GAUC and LogLoss are ratios of sums over users and exact. AUC is the first-order
        expansion around all users counting once, `AUC_w = sum w V10 / P_w + sum w V01 /
        N_w - AUC`, with V10 the share of negatives below a positive and V01 that of
        positives above a negative: the bootstrap form of DeLong's variance for
        clustered rows (Obuchowski, Biometrics 1997).

        Args:
            counts: float64 `[b, 4]`, `weights [b, U] @ self.counts`.
            sums: float64 `[b, 4]`, `weights @ self.sums`.

        Returns:
            Metric -> float64 `[b]`; NaN where no user that counts defines it.
        """
        rows, positives, negatives, usable = counts.T
        aucs, above, below, loss = sums.T
        with np.errstate(invalid="ignore", divide="ignore"):
            found = {
                "gauc": aucs / usable,
                "auc": above / positives + below / negatives - self.auc,
            }
            if self.log_loss:
                found["log_loss"] = loss / rows
        return found


def user_sums(users: object, labels: object, scores: object) -> UserSums:
    """Sums each user's rows, users in ascending order.

    Args:
        users: integers `[n]`.
        labels: `[n]` of 0 and 1, both of them among the rows.
        scores: `[n]` finite numbers.
    """
    positive, values = np.asarray(labels, bool), np.asarray(scores, np.float64)
    user, known = numbered(np.asarray(users))
    parts = user_aucs(user, positive, values)
    usable, aucs = np.zeros(len(known)), np.zeros(len(known))
    usable[parts.users] = parts.impressions
    aucs[parts.users] = parts.impressions * parts.aucs
    placed = placements(positive, values)
    probable = values.min() >= 0 and values.max() <= 1
    loss = np.where(positive, values, 1 - values) if probable else np.ones(len(values))

    def summed(column: Floats) -> Floats:
        return np.bincount(user, column, len(known)).astype(np.float64)

    positives = summed(positive.astype(np.float64))
    rows = np.bincount(user, minlength=len(known)).astype(np.float64)
    return UserSums(
        np.stack([rows, positives, rows - positives, usable], 1),
        np.stack(
            [
                aucs,
                summed(np.where(positive, placed, 0.0)),
                summed(np.where(positive, 0.0, placed)),
                summed(-np.log(np.clip(loss, 1e-15, 1.0))),
            ],
            1,
        ),
        float(placed[positive].mean()),
        bool(probable),
    )


def placements(positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """The share of the other class that a row lies on the right side of, `[n]`.

    For a positive the share of negatives below it, for a negative that of positives
    above it; ties count one half. Both means are the AUC.

    Example:
        >>> placements(np.array([True, False, False]), np.array([3.0, 3, 1])).tolist()
        [0.75, 0.5, 1.0]
    """
    place, _ = numbered(scores)
    mine = np.bincount(place, positive)
    theirs = np.bincount(place) - mine
    below = (np.cumsum(theirs) - theirs / 2) / theirs.sum()
    above = 1 - (np.cumsum(mine) - mine / 2) / mine.sum()
    return np.where(positive, below[place], above[place])
