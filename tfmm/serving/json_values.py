"""JSON as TF Serving parses it, and values checked against a tensor's dtype."""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, NoReturn

import numpy as np

from tfmm.serving.status import StatusError, invalid

_LIMITED = ("int32", "int64", "uint32", "uint64")
_WRAPPED = ("int8", "uint8", "int16")
_FLOATS = ("float32", "float64")
_NAMES = {"float32": "float", "float64": "double"}
_TYPES = {dict: "Object", list: "Array", str: "String", type(None): "Null"}
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<lone>u[dD][89a-fA-F])|.)", re.DOTALL
)
_SPACE = " \t\n\r"
_MAX_SHOWN = 200
# numpy 1 holds 32 axes; rows add one.
_MAX_RANK = 31


def parse_object(body: bytes) -> dict[str, Any]:
    """Parses the JSON object at the start of a body.

    As in TF Serving, a byte order mark is taken, what follows the object is not read,
    of a repeated key the first value counts, and NaN and Infinity are numbers.

    Raises:
        StatusError: INVALID_ARGUMENT if there is no JSON object.

    Example:
        >>> parse_object(b'{"a": 1, "a": 2} and more')
        {'a': 1}
    """
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff").lstrip(_SPACE)
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(text)
    if not text:
        raise invalid("JSON Parse error: The document is empty at offset: 0")
    try:
        value, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        raise invalid(
            f"JSON Parse error: {error.msg} at offset: {error.pos}"
        ) from error
    except RecursionError as error:
        raise invalid("JSON Parse error: Nested too deeply.") from error
    except ValueError as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(value, dict):
        raise invalid(f"JSON Value: {shown(value)} Is not object")
    return value


def _check_surrogates(text: str) -> None:
    for escape in _ESCAPE.finditer(text):
        if escape["lone"]:
            raise invalid(
                "JSON Parse error: The surrogate pair in string is invalid. at offset: "
                f"{escape.start()}"
            )


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        found = dict(reversed(pairs))
    return found


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("Number too big to be stored in double.")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_first_wins, parse_float=_parse_float)


def shown(value: Any) -> str:
    """A value as JSON for a message, cut when long."""
    # Bit by bit: a whole document may be huge, or nested deeper than can be written.
    parts = islice(json.JSONEncoder().iterencode(value), _MAX_SHOWN + 1)
    text = "".join(parts)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def is_base64(value: Any) -> bool:
    """Whether a value is `{"b64": "..."}` and nothing else."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get("b64"), str)
    )


def tensor_of(value: Any, dtype: str) -> np.ndarray:
    """A JSON value as a dense array: nested lists of equal lengths, or a scalar.

    Args:
        value: Parsed JSON.
        dtype: Name of the tensor's dtype; `"string"` gives an `object` array of bytes.

    Raises:
        StatusError: INVALID_ARGUMENT if the lists are ragged or a value is of another
            type or out of range, UNIMPLEMENTED if JSON cannot express the dtype.

    Example:
        >>> tensor_of([[1, 2]], "int64")
        array([[1, 2]])
    """
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    if len(shape) > _MAX_RANK:
        raise invalid(f"Lists nested {len(shape)} deep. Expected: {_MAX_RANK} at most.")
    flat = _flatten(value, shape)
    return _array(flat, dtype).reshape(shape)


def _flatten(value: Any, shape: Sequence[int]) -> list[Any]:
    values = [value]
    for level, size in enumerate(shape):
        if set(map(type, values)) != {list}:
            part = next(part for part in values if not isinstance(part, list))
            raise invalid(
                f"JSON Value: {shown(part)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {len(shape)}"
            )
        for part in values:
            if len(part) != size:
                raise invalid(
                    f"Encountered list at unexpected size: {len(part)} at level: "
                    f"{level} expected size: {size}"
                )
        values = list(chain.from_iterable(values))
    if list in set(map(type, values)):
        raise invalid(
            f"Encountered list at unexpected level: {len(shape)} expected < "
            f"{len(shape)}"
        )
    return values


def _array(values: list[Any], dtype: str) -> np.ndarray:
    if dtype == "string":
        return np.array(_strings(values), object)
    if dtype == "bool":
        return _typed(values, dtype, lambda kind: kind is bool, bool)
    if dtype in _FLOATS:
        numbers = _typed(values, dtype, lambda kind: kind in (int, float), np.float64)
        with np.errstate(over="ignore", under="ignore"):
            return numbers.astype(dtype)
    if dtype in _LIMITED:
        return _typed(values, dtype, lambda kind: kind is int, dtype)
    if dtype in _WRAPPED:
        wide = _typed(values, dtype, lambda kind: kind is int, np.int32)
        return wide.astype(dtype)
    raise StatusError(
        "UNIMPLEMENTED", f"Conversion of JSON Value: {shown(values)} to type: {dtype}"
    )


def _typed(
    values: list[Any], name: str, fits: Callable[[type], bool], dtype: Any
) -> np.ndarray:
    if not all(map(fits, set(map(type, values)))):
        _refuse(next(value for value in values if not fits(type(value))), name)
    try:
        return np.array(values, dtype)
    except OverflowError:
        for value in values:
            try:
                np.array(value, dtype)
            except OverflowError:
                _refuse(value, name)
        raise


def _strings(values: list[Any]) -> list[bytes]:
    if set(map(type, values)) == {str}:
        # The usual case, twice as fast; bytes that are not UTF-8 take the other way.
        with suppress(UnicodeEncodeError):
            return list(map(str.encode, values))
    return list(map(_bytes, values))


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not isinstance(value, dict):
        _refuse(value, "string")
    if not is_base64(value):
        raise invalid(
            f"JSON Value: {shown(value)} not formatted correctly for base64 data"
        )
    return _decode_base64(value["b64"])


def _decode_base64(text: str) -> bytes:
    packed = re.sub(r"\s", "", text).rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def _refuse(value: Any, dtype: str) -> NoReturn:
    if isinstance(value, bool):
        kind = "True" if value else "False"
    else:
        kind = _TYPES.get(type(value), "Number")
    raise invalid(
        f"JSON Value: {shown(value)} Type: {kind} is not of expected type: "
        f"{_NAMES.get(dtype, dtype)}"
    )
