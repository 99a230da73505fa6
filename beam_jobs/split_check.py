"""Refuses a split that leaves nothing to train on, or nothing to test."""

import datetime
from collections.abc import Mapping

from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.schema import GlobalTime, Schema, microseconds

_NEEDED = ("train", "test")


def require_requests(parts: Mapping[str, Mapping[str, int]], schema: Schema) -> None:
    """Checks that training and the test have requests.

    Args:
        parts: Part -> its counts, `requests` among them.
        schema: The schema with the split rule and the impressions.

    Raises:
        TfmmError: If one has none; it names the log's time span and the split.
    """
    empty = [part for part in _NEEDED if not parts[part]["requests"]]
    if empty:
        rule, advice = _rule(schema)
        raise TfmmError(
            f"The split leaves no request for {' and '.join(empty)}. Expected: at "
            f"least one in each of {', '.join(_NEEDED)}. Received: impressions "
            f"{_span(schema)}, and {rule}. {advice}"
        )


def _rule(schema: Schema) -> tuple[str, str]:
    """The split in words, and what to change."""
    split = schema.split
    if isinstance(split, GlobalTime):
        moments = {
            "validation_from": split.validation_from,
            "test_from": split.test_from,
        }
        said = [
            f"{name} {_text(microseconds(moment))}"
            for name, moment in moments.items()
            if moment is not None
        ]
        return " and ".join(said), (
            "Choose moments within that span in the schema's `split`, and check "
            "`time_unit`."
        )
    return (
        f"per user the last {split.test_fraction} of the moments for the test and "
        f"{split.validation_fraction} before them for validation"
    ), (
        "Lower the fractions in the schema's `split`, bring users with more moments, "
        "or split by `global_time`."
    )


def _span(schema: Schema) -> str:
    found = [
        (chunk.min(), chunk.max())
        for chunk in tables.times(schema.impressions, schema.folder, schema.time_unit)
        if len(chunk)
    ]
    if not found:
        return "without a time that can be read"
    firsts, lasts = zip(*found, strict=True)
    return f"from {_text(int(min(firsts)))} to {_text(int(max(lasts)))}"


def _text(time: int) -> str:
    start = datetime.datetime(1970, 1, 1)
    return (start + datetime.timedelta(microseconds=time)).isoformat()
