"""What the gain card says of one score on one set of impressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfmm.evaluation.bootstrap import Interval


@dataclass(frozen=True)
class Scores:
    """Metrics of one score on one set of rows; `None` where undefined there.

    AUC needs both classes, GAUC a user with both, LogLoss and calibration values
    between 0 and 1.

    Attributes:
        impressions: rows.
        positives: rows with label 1.
        users: users with both classes, on which GAUC rests.
        usable_share: their share of the rows.
        gauc: impression-weighted grouped AUC.
        auc: AUC over all rows.
        log_loss: mean negative log-likelihood in nats.
        calibration: mean predicted over mean observed rate.
    """

    impressions: int
    positives: int
    users: int
    usable_share: float
    gauc: float | None
    auc: float | None
    log_loss: float | None
    calibration: float | None


@dataclass(frozen=True)
class Gain:
    """Differences to a reference on the same rows; `None` where undefined.

    Attributes:
        gauc: percentage points of GAUC.
        gauc_error: one standard error of `gauc`, users drawn independently.
        auc: percentage points of AUC.
        log_loss: nats; below 0 is better.
        intervals: metric -> the middle 95 % of the difference, in its units, when users
            are drawn with replacement, the same users for both scores.
        relative: metric -> the difference in per cent of the reference's value, above 0
            where it is better, as figure 6(b) of arXiv 2407.19467 has it.
        relative_intervals: the middle 95 % of `relative`.
    """

    gauc: float | None
    gauc_error: float | None
    auc: float | None
    log_loss: float | None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    relative: Mapping[str, float] = field(default_factory=dict)
    relative_intervals: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One score on one set of rows.

    Attributes:
        scores: its metrics.
        gain: their differences to the baseline.
        over_production: and to the production model, where its score is known.
    """

    scores: Scores
    gain: Gain
    over_production: Gain | None = None


@dataclass(frozen=True)
class Cost:
    """What a model takes.

    Attributes:
        seconds_per_step: median of its training steps.
        parameters: trainable ones.
        vector_bytes: its tables of frozen vectors.
    """

    seconds_per_step: float
    parameters: int
    vector_bytes: int


def part_of(facts: Mapping[str, Any]) -> Part:
    """A part from its JSON form."""
    over = facts["over_production"]
    return Part(Scores(**facts["scores"]), _gain(facts["gain"]), over and _gain(over))


def _gain(facts: Mapping[str, Any]) -> Gain:
    pairs = {
        name: {metric: tuple(pair) for metric, pair in facts[name].items()}
        for name in ("intervals", "relative_intervals")
    }
    return Gain(**{**facts, **pairs})
