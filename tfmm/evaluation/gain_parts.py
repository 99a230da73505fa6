"""All scores on one set of impressions: metrics, differences, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfmm.evaluation.bootstrap import Draws, Interval, interval, resampled
from tfmm.evaluation.columns import Columns
from tfmm.evaluation.gain_values import Gain, Part, Scores
from tfmm.evaluation.metrics import (
    UserAucs,
    auc,
    calibration,
    log_loss,
    user_aucs,
    weighted_auc,
)
from tfmm.evaluation.user_sums import user_sums

# Metric -> its unit, and which direction is better.
_METRICS = {"gauc": (100, 1), "auc": (100, 1), "log_loss": (1, -1)}


@dataclass(frozen=True)
class _Measured:
    scores: Scores
    users: UserAucs | None
    draws: Draws


def parts(
    lines: Sequence[Columns],
    baseline: int,
    production: int | None,
    draws: int,
    seed: int,
) -> list[Part]:
    """Every score's metrics and its differences to the baseline and to production.

    Args:
        lines: the same impressions under one score each.
        baseline: place of the baseline in `lines`.
        production: place of the production model's score, if it is among them.
        draws: resamples of users for the intervals.
        seed: of the draws.
    """
    resamples = _resampled(lines, draws, seed)
    measured = [
        _measured(columns, drawn)
        for columns, drawn in zip(lines, resamples, strict=True)
    ]
    base = measured[baseline]
    if production is None or production == baseline:
        return [Part(mine.scores, _gain(mine, base)) for mine in measured]
    logged = measured[production]
    return [
        Part(mine.scores, _gain(mine, base), _gain(mine, logged)) for mine in measured
    ]


def _resampled(lines: Sequence[Columns], draws: int, seed: int) -> list[Draws]:
    users, label = lines[0].user_key, lines[0].label
    if not draws or not 0 < label.sum() < len(label) or len(np.unique(users)) < 2:
        return [{} for _ in lines]
    sums = [user_sums(users, label, columns.probability) for columns in lines]
    return resampled(sums, draws, seed)


def _measured(columns: Columns, draws: Draws) -> _Measured:
    """All metrics of one score, and the users' AUCs where there are any."""
    y, p = columns.label, columns.probability
    both = len(y) > 0 and 0 < y.sum() < len(y)
    probable = len(y) > 0 and p.min() >= 0 and p.max() <= 1
    grouped = user_aucs(columns.user_key, y, p) if both else None
    if grouped is not None and not len(grouped.aucs):
        grouped = None
    scores = Scores(
        impressions=len(y),
        positives=int(y.sum()),
        users=len(grouped.aucs) if grouped else 0,
        usable_share=grouped.usable_share if grouped else 0.0,
        gauc=weighted_auc(grouped).value if grouped else None,
        auc=auc(y, p) if both else None,
        log_loss=log_loss(y, p) if probable else None,
        calibration=calibration(y, p) if probable and y.any() else None,
    )
    return _Measured(scores, grouped, draws)


def _gain(mine: _Measured, base: _Measured) -> Gain:
    """Differences of one score to another's on the same impressions."""
    values: dict[str, float | None] = dict.fromkeys(_METRICS)
    intervals: dict[str, Interval] = {}
    relative: dict[str, float] = {}
    relative_intervals: dict[str, Interval] = {}
    for metric, (scale, better) in _METRICS.items():
        a, b = getattr(mine.scores, metric), getattr(base.scores, metric)
        if a is None or b is None:
            continue
        values[metric] = scale * (a - b)
        if b > 0:
            relative[metric] = 100 * better * (a - b) / b
        if metric in mine.draws and metric in base.draws:
            theirs = base.draws[metric]
            change = mine.draws[metric] - theirs
            _keep(intervals, metric, scale * change)
            with np.errstate(invalid="ignore", divide="ignore"):
                _keep(relative_intervals, metric, 100 * better * change / theirs)
    return Gain(
        **values,
        gauc_error=_error(mine.users, base.users),
        intervals=intervals,
        relative=relative,
        relative_intervals=relative_intervals,
    )


def _keep(found: dict[str, Interval], metric: str, values: NDArray[np.float64]) -> None:
    middle = interval(values)
    if middle is not None:
        found[metric] = middle


def _error(mine: UserAucs | None, base: UserAucs | None) -> float | None:
    """The standard error of a ratio over users, which are paired.

    `sqrt(sum_u n_u^2 (d_u - D)^2) / sum_u n_u` with `d_u` a user's difference in AUC.
    """
    if mine is None or base is None:
        return None
    n, d = mine.impressions, mine.aucs - base.aucs
    spread = n * (d - np.average(d, weights=n))
    return 100 * float(np.sqrt(np.square(spread).sum()) / n.sum())
