"""The audit's three questions to a sample of requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfmm.evaluation.audit_sample import NEVER, Sample
from tfmm.evaluation.metrics import auc
from tfmm.records.leak import moment
from tfmm.records.vocabularies import Vocabularies

LATE, OWN_CLICK = "late_events", "own_click"
TELLING = 0.98
# Fewer say nothing.
FEWEST = 30
# Standard errors that the share of clicks is lowered by before it is judged.
_CAREFUL = 3.0
# Matches that hold fewer of the clicks than this are no leak of the log.
_SHARE = 0.01
_EXAMPLES = 3
# Readers of logs without times number the events instead.
_REAL_TIME = 10**12
_SECOND = 1_000_000
_WINDOWS = (
    ("from the last second", _SECOND),
    ("from the last minute", 60 * _SECOND),
    ("from the last hour", 3600 * _SECOND),
    ("from the last day", 86_400 * _SECOND),
)


@dataclass(frozen=True)
class Finding:
    """Something that must not be, or that should be looked at.

    Attributes:
        name: `"late_events"`, `"own_click"` or a feature's tensor.
        text: What is wrong, how often, examples, and what to do.
        allowable: Whether a recipe may let it pass.
    """

    name: str
    text: str
    allowable: bool = True


def late_events(sample: Sample) -> Iterator[Finding]:
    """Events in a history that are not strictly earlier than the request."""
    late = np.flatnonzero(sample.late)
    if len(late):
        where = _examples(sample, late)
        yield Finding(
            LATE,
            "Histories know the request's own moment or what comes after it. Expected: "
            "only events strictly earlier than the request. Received: "
            f"{int(sample.late.sum()):,} later events in {len(late):,} of "
            f"{len(sample.time):,} requests, such as {where}. Cut the histories again "
            "with the job `behaviours`, or where the timelines were written.",
            allowable=False,
        )


def own_clicks(sample: Sample) -> Iterator[Finding]:
    """Candidates that were just in the history, and nearly all of which are clicked.

    Of items seen just before, more are clicked than of others, but not most: judged is
    the share of clicks less three standard errors, which must stay below the middle
    between the others' share and 1.
    """
    for label, values in sample.labels.items():
        if text := _own_click(sample, label, values > 0):
            yield Finding(OWN_CLICK, text)
            return


def _own_click(sample: Sample, label: str, positive: NDArray[np.bool_]) -> str | None:
    for when, match in _matches(sample):
        shown, clicked = int(match.sum()), int(positive[match].sum())
        others = positive[~match]
        if shown < FEWEST or not others.size:
            continue
        if clicked < _SHARE * positive.sum():
            continue
        rate, base = clicked / shown, float(others.mean())
        if _lowered(rate, shown) <= (1 + base) / 2:
            continue
        where = _examples(sample, sample.request[match & positive])
        return (
            "Candidates seem to have their own label in their history. Expected: items "
            f"that the history holds {when} to be of `{label}` 1 somewhat more often "
            f"than others. Received: {clicked:,} of {shown:,} such candidates "
            f"({rate:.1%}), of the others {base:.1%}, such as {where}. Events may be "
            "logged before the impression they belong to, or their times rounded: "
            "correct them, or set `history.lag_seconds` in the schema. If it is right, "
            f"allow {OWN_CLICK!r} under `audit` in the recipe."
        )
    return None


def _matches(sample: Sample) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """What "just before" may mean, and which candidates were in the history then."""
    yield "as its newest event", sample.place == 0
    if len(sample.time) and sample.time.min() > _REAL_TIME:
        for when, window in _WINDOWS:
            yield when, (sample.age != NEVER) & (sample.age <= window)


def _lowered(rate: float, count: int) -> float:
    """Wilson's lower bound of a share."""
    z = _CAREFUL**2 / count
    spread = np.sqrt(rate * (1 - rate) * z + z * z / 4)
    return float((rate + z / 2 - spread) / (1 + z))


def telling_features(sample: Sample, vocabularies: Vocabularies) -> Iterator[Finding]:
    """Features whose value alone tells the label."""
    features = {**sample.features, **_item_features(sample, vocabularies)}
    half = (sample.user[sample.request] & 1).astype(bool)
    for name, values in features.items():
        for label, numbers in sample.labels.items():
            positive = numbers > 0
            if min(positive.sum(), (~positive).sum()) < FEWEST:
                continue
            found = auc(positive, _scores(values, positive, half))
            found = max(found, 1 - found)
            if found <= TELLING:
                continue
            yield Finding(
                name,
                f"`{name}` alone tells `{label}`. Expected: no single feature with an "
                f"AUC above {TELLING}. Received: {found:.4f} over {len(values):,} "
                "impressions. Was it known before the impression, or written after it? "
                "Take it out of the schema; if it is right, allow "
                f"{name!r} under `audit` in the recipe.",
            )
            break


def _scores(
    values: NDArray[Any], positive: NDArray[np.bool_], half: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Numbers as they are; of text, its share of positives among other users."""
    if values.dtype.kind == "f":
        return np.nan_to_num(values)
    codes = pa.array(values).dictionary_encode().indices.to_numpy()
    size = int(codes.max(initial=-1)) + 1
    scores = np.empty(len(values))
    for mine in (half, ~half):
        shown = np.bincount(codes[~mine], minlength=size)
        clicked = np.bincount(codes[~mine], positive[~mine], size)
        base = positive.mean()
        scores[mine] = ((clicked + base) / (shown + 1))[codes[mine]]
    return scores


def _item_features(sample: Sample, vocabularies: Vocabularies) -> dict[str, Any]:
    table = vocabularies.items
    columns = {
        "categorical": iter(np.asarray(table.codes, object).T),
        "numeric": iter(np.asarray(table.numbers, np.float64).T),
    }
    return {
        feature.tensor: next(columns[feature.kind])[sample.item]
        for feature in vocabularies.spec.of_scope("item")
    }


def _examples(sample: Sample, requests: NDArray[np.int64]) -> str:
    return ", ".join(
        f"user {int(sample.user[r]) & (2**64 - 1):016x} at {_moment(sample.time[r])}"
        for r in np.unique(requests)[:_EXAMPLES]
    )


def _moment(time: Any) -> str:
    return moment(int(time)) if time > _REAL_TIME else str(int(time))
