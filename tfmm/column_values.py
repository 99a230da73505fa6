"""Raw columns in the type of their role; null where a value cannot be read."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EXPECTED = {
    "id": "text or whole numbers",
    "text": "text",
    "category": "text on one line",
    "number": "numbers",
    "label": "0 or 1",
    "time": "timestamps, ISO texts, or numbers in the schema's time_unit",
    "ids": "lists of ids, or ids joined by |",
    "media": "bytes, or paths as text",
    "medias": "lists of bytes or of paths, or paths joined by |",
    "texts": "lists of texts, or one text",
}
_UNIT_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_YEAR_9999 = 253_402_300_800_000_000
_NO_NUMBER = pa.array(["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"])
_MISSING = dict.fromkeys(("number", "label", "time"), _NO_NUMBER) | {
    "category": pa.array([""])
}
# Ids and categories are lines of the vocabulary files that an export carries: no
# control characters, nor what some readers take for the end of a line.
_NO_LINE = r"[\x00-\x1f\x7f-\x{9f}\x{2028}\x{2029}]"


def missing_as_null(raw: pa.Array, kind: str) -> pa.Array:
    """The column with null for NaN, and for what texts say in place of a value.

    Every type of text becomes `pa.string()`.

    Args:
        raw: Column as read.
        kind: One of `EXPECTED`.

    Example:
        >>> missing_as_null(pa.array(["", "red"]), "category").to_pylist()
        [None, 'red']
    """
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    if pa.types.is_large_string(raw.type) or pa.types.is_string_view(raw.type):
        raw = pc.cast(raw, pa.string())
    if pa.types.is_floating(raw.type):
        return pc.if_else(pc.is_nan(raw), pa.scalar(None, raw.type), raw)
    if kind in _MISSING and raw.type == pa.string():
        missing = pc.is_in(raw, value_set=_MISSING[kind])
        return pc.if_else(missing, pa.scalar(None, pa.string()), raw)
    return raw


def convert(raw: pa.Array, kind: str, time_unit: str) -> pa.Array:
    """The values in the kind's type; null where one cannot be read.

    Args:
        raw: Column as read.
        kind: One of `EXPECTED`.
        time_unit: Unit of numeric times: `s`, `ms` or `us`.

    Example:
        >>> convert(pa.array(["1", "x"]), "number", "s").to_pylist()
        [1.0, None]
    """
    try:
        if kind == "time":
            return _time(raw, _UNIT_MICROSECONDS[time_unit])
        return _CONVERTERS[kind](raw)
    except pa.ArrowException:
        return pa.nulls(len(raw), TYPES[kind])


def _media(raw: pa.Array) -> pa.Array:
    return pc.cast(raw, pa.binary()) if _holds_bytes(raw.type) else _text(raw)


def _id(raw: pa.Array) -> pa.Array:
    if pa.types.is_integer(raw.type):
        return pc.cast(raw, pa.string())
    text = _category(raw)
    return _where(pc.greater(pc.binary_length(text), 0), text)


def _category(raw: pa.Array) -> pa.Array:
    text = _text(raw)
    fits = pc.ascii_is_printable(text)
    if pc.all(fits).as_py() is False:  # Most columns are spared the pattern.
        fits = pc.invert(pc.match_substring_regex(text, _NO_LINE))
    return _where(fits, text)


def _ids(raw: pa.Array) -> pa.Array:
    """Lists of ids; what is no id is null in its list."""
    if not pa.types.is_nested(raw.type):
        return _lists(pc.split_pattern(_text(raw), "|"), _id)
    return _lists(pc.cast(raw, pa.list_(pa.string())), _id)


def _medias(raw: pa.Array) -> pa.Array:
    """Lists of pictures; what is no picture's place is null in its list."""
    if pa.types.is_nested(raw.type) or _holds_bytes(raw.type):
        return _lists(raw, _media)
    return _lists(pc.split_pattern(_text(raw), "|"), _media)


def _texts(raw: pa.Array) -> pa.Array:
    """Lists of texts; what is no text is null in its list."""
    return _lists(raw, _text)


def _lists(lists: pa.Array, convert_values: Callable[[Any], Any]) -> pa.Array:
    """Lists of converted values; a value that is no list is one of its own."""
    if not pa.types.is_nested(lists.type):
        offsets = pa.array(np.arange(len(lists) + 1), pa.int32())
        lists = pa.ListArray.from_arrays(offsets, lists, mask=lists.is_null())
    # Flattening skips what lies below null lists, so offsets are counted anew.
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = pa.array(np.r_[0, np.cumsum(lengths)], pa.int32())
    made = pa.ListArray.from_arrays(offsets, convert_values(pc.list_flatten(lists)))
    return pc.if_else(lists.is_valid(), made, pa.scalar(None, made.type))


def _text(raw: pa.Array) -> pa.Array:
    if _holds_bytes(raw.type):
        return pa.array([_utf8(value) for value in raw.to_pylist()], pa.string())
    if pa.types.is_nested(raw.type):
        return pa.nulls(len(raw), pa.string())
    return pc.cast(raw, pa.string())


def _holds_bytes(kind: pa.DataType) -> bool:
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _utf8(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def _number(raw: pa.Array) -> pa.Array:
    numbers = _numbers(raw)
    return _where(pc.is_finite(numbers), numbers)


def _label(raw: pa.Array) -> pa.Array:
    if raw.type == pa.string():  # What writers of CSV make of booleans.
        lower = pc.utf8_lower(raw)
        for word, digit in (("true", "1"), ("false", "0")):
            raw = pc.if_else(pc.equal(lower, word), digit, raw)
    numbers = _numbers(raw)
    return _where(pc.or_(pc.equal(numbers, 0.0), pc.equal(numbers, 1.0)), numbers)


def _where(fits: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(fits, False), values, pa.scalar(None, values.type))


def _numbers(raw: pa.Array) -> pa.Array:
    if pa.types.is_boolean(raw.type) or pa.types.is_decimal(raw.type):
        return pc.cast(raw, pa.float64())
    if pa.types.is_integer(raw.type) or pa.types.is_floating(raw.type):
        return pc.cast(raw, pa.float64(), safe=False)
    text = _text(raw)
    try:
        return pc.cast(text, pa.float64())
    except pa.ArrowInvalid:
        return pa.array([_float(value) for value in text.to_pylist()], pa.float64())


def _float(value: str | None) -> float | None:
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None


def _time(raw: pa.Array, unit: int) -> pa.Array:
    if pa.types.is_timestamp(raw.type) or pa.types.is_date(raw.type):
        moments = pc.cast(raw, pa.timestamp("us"), safe=False)
        return pc.cast(moments, pa.int64())
    numbers = _scaled(raw, unit)
    if pa.types.is_integer(raw.type) or pa.types.is_floating(raw.type):
        return numbers
    return pc.coalesce(numbers, _iso_times(_text(raw)))


def _scaled(raw: pa.Array, unit: int) -> pa.Array:
    """Numbers in microseconds; null beyond the year 9999, where the unit is wrong."""
    numbers = _numbers(raw)
    scaled = pc.multiply(numbers, float(unit))
    fits = pc.fill_null(pc.less(pc.abs(scaled), float(_YEAR_9999)), False)
    if pa.types.is_integer(raw.type):
        whole = pc.cast(_where(fits, raw), pa.int64())
        return pc.multiply(whole, pa.scalar(unit, pa.int64()))
    return pc.cast(pc.round(_where(fits, scaled)), pa.int64())


def _iso_times(text: pa.Array) -> pa.Array:
    for kind in (pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
        try:
            return pc.cast(pc.cast(text, kind), pa.int64())
        except pa.ArrowInvalid:
            pass
    return pa.array([_iso_time(value) for value in text.to_pylist()], pa.int64())


def _iso_time(value: str | None) -> int | None:
    for kind in (pa.timestamp("us", tz="UTC"), pa.timestamp("us")):
        try:
            return pc.cast(pa.scalar(value, pa.string()), kind).value
        except pa.ArrowInvalid:
            pass
    return None


TYPES = {
    "id": pa.string(),
    "text": pa.string(),
    "category": pa.string(),
    "number": pa.float64(),
    "label": pa.float64(),
    "time": pa.int64(),
    "ids": pa.list_(pa.string()),
    "media": pa.string(),
    "medias": pa.list_(pa.string()),
    "texts": pa.list_(pa.string()),
}
_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "id": _id,
    "text": _text,
    "category": _category,
    "number": _number,
    "label": _label,
    "ids": _ids,
    "media": _media,
    "medias": _medias,
    "texts": _texts,
}
