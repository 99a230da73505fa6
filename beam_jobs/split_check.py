"""Refuses a split that leaves nothing to train on or to test, or that leaks."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.leak import check_times, moment
from tfmm.schema import GlobalTime, Schema, microseconds

TRAIN, TEST = PARTS = "train", "test"


def require_requests(parts: Mapping[str, Mapping[str, int]], schema: Schema) -> None:
    """Checks that training and the test have requests.

    Args:
        parts: Part -> its counts, `requests` among them.
        schema: The schema with the split rule and the impressions.

    Raises:
        TfmmError: If one has none; it names the log's time span and the split.
    """
    empty = [part for part in PARTS if not parts[part]["requests"]]
    if empty:
        rule, advice = _rule(schema)
        raise TfmmError(
            f"The split leaves no request for {' and '.join(empty)}. Expected: at "
            f"least one in each of {', '.join(PARTS)}. Received: impressions "
            f"{_span(schema)}, and {rule}. {advice}"
        )


def refuse_late_searches(schema: Schema, first_test: int) -> None:
    """Checks that a supplied training part ends before the test of the split rule.

    Args:
        schema: The schema with searches and their `part`.
        first_test: The first moment of the test, in microseconds.

    Raises:
        TfmmError: If it does not; with how many searches, and their time span.
    """
    assert schema.searches is not None
    times = _times_of_training(schema)
    column = schema.searches.part
    check_times(times, first_test, f"The part `{TRAIN}` that `{column}` supplies")


def part_of(text: pa.ChunkedArray) -> pa.Array:
    """The supplied parts as `PARTS` spells them; null where it is neither."""
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(text)).combine_chunks()
    known = pc.is_in(plain, value_set=pa.array(PARTS))
    return pc.if_else(known, plain, pa.scalar(None, pa.string()))


def _times_of_training(schema: Schema) -> Iterator[np.ndarray]:
    assert schema.searches is not None
    roles = ["time", "bought", "part"]
    for piece in tables.parts(schema.searches, schema.folder):
        for chunk, _ in tables.read(schema.searches, piece, schema.time_unit, roles):
            train = pc.fill_null(pc.equal(part_of(chunk["part"]), TRAIN), False)
            yield chunk["time"].filter(train).to_numpy()


def _rule(schema: Schema) -> tuple[str, str]:
    """The split in words, and what to change."""
    split = schema.split
    if isinstance(split, GlobalTime):
        moments = {
            "validation_from": split.validation_from,
            "test_from": split.test_from,
        }
        said = [
            f"{name} {moment(microseconds(first))}"
            for name, first in moments.items()
            if first is not None
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
    return f"from {moment(int(min(firsts)))} to {moment(int(max(lasts)))}"
