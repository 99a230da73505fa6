"""What the texts of a CSV or JSON lines column stand for: the rare bad one aside."""

import pyarrow as pa
import pyarrow.compute as pc

from tfmm.column_values import convert, missing_as_null

# Of the values of a sample; the others become dead letters in the jobs.
MOSTLY = 0.99
_WHOLE = r"^-?(0|[1-9][0-9]{0,17})$"
_PADDED = r"^-?0[0-9]"


def guessed(values: pa.Array) -> pa.Array:
    """Texts that are nearly all numbers as numbers, and null for the others.

    Whole numbers become int64; with leading zeros they are names and stay texts.

    Example:
        >>> guessed(pa.array(["1", "2", None])).to_pylist()
        [1, 2, None]
        >>> guessed(pa.array(["007", "8"])).to_pylist()
        ['007', '8']
    """
    if not pa.types.is_string(values.type):
        return values
    texts = missing_as_null(values, "number")
    whole = pc.match_substring_regex(texts, _WHOLE)
    if share(whole) >= MOSTLY:
        kept = pc.if_else(whole, texts, pa.scalar(None, pa.string()))
        return pc.cast(kept, pa.int64())
    numbers = convert(texts, "number", "s")
    padded = pc.any(pc.match_substring_regex(texts, _PADDED)).as_py()
    if padded or share(_among(numbers.is_valid(), texts)) < MOSTLY:
        return values
    return numbers


def are_dates(texts: pa.Array) -> bool:
    """Whether nearly all texts are dates, as the jobs read them.

    Example:
        >>> are_dates(pa.array(["2024-01-02", "2024-01-02T03:04:05Z"]))
        True
    """
    known = missing_as_null(texts, "time")
    dates = pc.and_not(
        convert(known, "time", "s").is_valid(), convert(known, "number", "s").is_valid()
    )
    return share(_among(dates, known)) >= MOSTLY


def share(flags: pa.Array) -> float:
    """Share of true among the flags that are not null; 0 without any."""
    return pc.mean(pc.cast(flags, pa.float64())).as_py() or 0.0


def _among(flags: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(values.is_valid(), flags, pa.scalar(None, pa.bool_()))
