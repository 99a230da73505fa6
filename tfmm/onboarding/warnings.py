"""What is odd about a log, each in a sentence with advice."""

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfmm.onboarding.check import CheckReport

_YEAR_1990 = 631_152_000_000_000


def warnings(report: "CheckReport", now: datetime.datetime) -> tuple[str, ...]:
    """All warnings of a report.

    Args:
        report: The report.
        now: The present moment; later impressions are odd.
    """
    return (
        *_labels(report),
        *_times(report, now),
        *_parts(report),
        *_joins(report),
        *_requests(report),
        *_rows(report),
    )


def _labels(report: "CheckReport") -> Iterator[str]:
    for name, rate in report.label_rate.items():
        if rate in (0.0, 1.0):
            yield (
                f"Every `{name}` is {rate:.0f}: there is nothing to learn. Log shown "
                "items that were not clicked too, or name another label."
            )


def _times(report: "CheckReport", now: datetime.datetime) -> Iterator[str]:
    log = report.log
    if log.first == log.last:
        yield (
            "All impressions have the same time, so nothing is earlier than anything: "
            "no history, no split. Name a column with the moment of each impression."
        )
    if log.last > int(now.timestamp() * 1_000_000) + 86_400_000_000:
        yield (
            "Some impressions lie in the future. Check `time_unit` (s, ms or us) and "
            "the clock of the log."
        )
    elif log.first < _YEAR_1990:
        yield (
            "Some impressions lie before 1990. Check `time_unit` (s, ms or us), unless "
            "the times are counted from a start of your own."
        )


def _parts(report: "CheckReport") -> Iterator[str]:
    parts = report.log.parts
    for name in ("train", "test"):
        if not parts[name].requests:
            yield (
                f"The {name} split has no rows. Move the split's dates in the schema "
                "between the first and the last impression."
            )
        elif parts[name].positives in (0, parts[name].impressions):
            yield (
                f"The {name} split has one class of the label alone. Move the split's "
                "dates."
            )
    test = parts["test"]
    if test.requests and not test.both_classes:
        yield (
            "No test user has both a click and none, so GAUC is undefined. Use a "
            "longer test span."
        )
    warm = report.log.warm
    if warm is not None and warm < 0.3:
        yield (
            f"Only {warm:.0%} of the test impressions are of users that training "
            "knows. Consider `rule: per_user_last_fraction`."
        )


def _joins(report: "CheckReport") -> Iterator[str]:
    if report.in_items is not None and report.in_items < 0.5:
        yield (
            f"Only {report.in_items:.0%} of the impressions show an item of the items "
            "table. Check that both use the same ids (leading zeros, prefixes)."
        )
    if report.in_users is not None and report.in_users < 0.5:
        yield (
            f"Only {report.in_users:.0%} of the users are in the users table. Check "
            "that both use the same ids."
        )
    if report.log.joined is False:
        yield "No user of the impressions has an event. Check that the ids agree."
    if report.repeated_items:
        yield (
            f"{report.repeated_items:,} rows of the items table repeat an id; the "
            "first row of each counts."
        )
    if report.missing_files:
        yield (
            f"{report.missing_files:.0%} of the first picture paths lead to no file. "
            "Set `image_root` to the folder that the paths start from."
        )


def _requests(report: "CheckReport") -> Iterator[str]:
    log = report.log
    if log.cut:
        yield (
            f"{log.cut:,} impressions lie beyond the first {report.max_items} of their "
            "request and are cut. Raise `requests.max_items`."
        )
    if log.no_history > 0.9:
        yield (
            f"{log.no_history:.0%} of the requests have no history. Multimodal "
            "interest needs one: add an events table, or more days."
        )


def _rows(report: "CheckReport") -> Iterator[str]:
    for table, letters in report.dead_letters.items():
        left_out = sum(letters.values())
        if left_out > 0.01 * report.rows[table]:
            yield (
                f"{left_out / report.rows[table]:.0%} of the rows of {table} cannot be "
                "read, see the dead letters. Correct the file or the schema."
            )
