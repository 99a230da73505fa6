"""Proposes a split rule and the size of requests from the log's times and users."""

import dataclasses
import datetime

import numpy as np
import pyarrow as pa

from tfmm.records.split import TEST, TRAIN, global_time
from tfmm.schema import Schema

_TEST_SHARE, _VALIDATION_SHARE = 0.15, 0.08
_DAY = 86_400_000_000
_START = datetime.datetime(1970, 1, 1)
_MOST_ITEMS = 200
_FEW_KNOWN = 0.5


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What the log suggests.

    Args:
        split: The schema's `split`.
        why: Comment lines on it.
        max_items: The schema's `requests.max_items`.
    """

    split: dict[str, object]
    why: tuple[str, ...]
    max_items: int


def propose(impressions: pa.Table, schema: Schema) -> Proposal:
    """A split by time; by each user's own time where few test users would be known.

    Args:
        impressions: What `log.log_table` read.
        schema: Whether there are request ids.
    """
    time, user = (impressions[name].to_numpy() for name in ("time", "user"))
    most = min(_longest_request(impressions, schema), _MOST_ITEMS)
    test_from = _moment(time, 1 - _TEST_SHARE)
    validation_from: int | None = _moment(time, 1 - _TEST_SHARE - _VALIDATION_SHARE)
    part = global_time(time, validation_from, test_from)
    if len(np.unique(part)) < 3:
        validation_from = None
        part = global_time(time, None, test_from)
    test = part == TEST
    known = float(np.isin(user[test], user[part == TRAIN]).mean())
    if (part == TRAIN).any() and known >= _FEW_KNOWN:
        return _by_time(test, known, test_from, validation_from, most)
    why = (
        "The last moments of every user are the test. A split at one date is the",
        f"honest rule of a running shop, but only {known:.0%} of its test rows would",
        "be of users that training knows. For it:",
        f"  rule: global_time, test_from: {_date(test_from)}",
    )
    split: dict[str, object] = {
        "rule": "per_user_last_fraction",
        "test_fraction": 0.2,
        "validation_fraction": 0.1,
    }
    return Proposal(split, why, most)


def _by_time(
    test: np.ndarray,
    known: float,
    test_from: int,
    validation_from: int | None,
    most: int,
) -> Proposal:
    why = (
        f"Everything from `test_from` on is the test ({test.mean():.0%} of the "
        "impressions),",
        "what lies between the two dates validates, what is before trains.",
        f"{known:.0%} of the test rows are of users that training knows.",
        "The other rule, each user's own last moments:",
        "  rule: per_user_last_fraction, test_fraction: 0.2",
    )
    split: dict[str, object] = {"rule": "global_time"}
    if validation_from is not None:
        split["validation_from"] = _date(validation_from)
    split["test_from"] = _date(test_from)
    return Proposal(split, why, most)


def _moment(time: np.ndarray, share: float) -> int:
    """The moment before which this share lies, at midnight where days allow it."""
    moment = int(np.quantile(time, share, method="nearest"))
    if time.max() - time.min() >= 10 * _DAY:
        midnight = moment // _DAY * _DAY
        if (time < midnight).any():
            return midnight
    return moment


def _date(moment: int) -> str:
    return (_START + datetime.timedelta(microseconds=moment)).isoformat()


def _longest_request(impressions: pa.Table, schema: Schema) -> int:
    key = "request" if schema.impressions.request else "time"
    sizes = pa.TableGroupBy(impressions, ["user", key]).aggregate([([], "count_all")])
    return int(np.max(sizes["count_all"].to_numpy()))
