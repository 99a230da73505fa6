"""Refuses a split that leaves nothing to train on or to test, or that leaks."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.read_table import read_here
from beam_jobs.search_split import SearchSplit, roles_read
from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.leak import moment, refuse_tested
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


def refuse_late_searches(schema: Schema, split: SearchSplit) -> None:
    """Checks that a supplied training part has no search of the split rule's test.

    Args:
        schema: The schema with searches and their `part`.
        split: Which searches are the test.

    Raises:
        TfmmError: If it has; with how many searches, and their time span.
    """
    assert schema.searches is not None
    what = f"The part `{TRAIN}` that `{schema.searches.part}` supplies"
    expected = f"searches before {moment(split.first_test)}"
    if split.tested is not None:
        expected = f"searches before the last ones of each `{schema.searches.user}`"
    refuse_tested(_times_of_training(schema, split), expected, what)


def part_of(text: pa.ChunkedArray) -> pa.Array:
    """The supplied parts as `PARTS` spells them; null where it is neither."""
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(text)).combine_chunks()
    known = pc.is_in(plain, value_set=pa.array(PARTS))
    return pc.if_else(known, plain, pa.scalar(None, pa.string()))


def _times_of_training(
    schema: Schema, split: SearchSplit
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The times of supplied training searches, and which of them are the test's."""
    roles = [x for x in roles_read(schema) if x in ("time", "bought", "user", "part")]
    for chunk in read_here(schema, "searches", roles):
        train = pc.fill_null(pc.equal(part_of(chunk["part"]), TRAIN), False)
        searches = chunk.filter(train)
        yield searches["time"].to_numpy(), split.is_test(searches)


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
