"""Tensors as JSON text, digit by digit as TF Serving writes them."""

import base64
from collections.abc import Sequence
from json.encoder import encode_basestring

import numpy as np

from tfmm.serving.status import invalid

_DIGITS = {np.dtype(np.float32): 9, np.dtype(np.float64): 17}
_FEW_DIGITS = 6
_ROUNDING = 1e-15
_INTEGERS = (np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint32, np.uint64)


def json_texts(name: str, array: np.ndarray, axes: int = 0) -> list[str]:
    """The JSON texts of a tensor's parts along its first axes.

    Args:
        name: The tensor's name; strings of one that ends in `_bytes` are base64.
        array: The tensor; strings as an `object` array of bytes.
        axes: How many axes to take apart: 0 gives one text, 1 a text a row.

    Raises:
        StatusError: INVALID_ARGUMENT if JSON cannot express the dtype.

    Example:
        >>> json_texts("y", np.float32([[0.1, 9e6], [1, 2]]), axes=1)
        ['[0.1, 9e+06]', '[1.0, 2.0]']
    """
    return _nest(_scalars(name, array), array.shape, axes)


def _nest(texts: list[str], shape: Sequence[int], axes: int) -> list[str]:
    for axis in reversed(range(axes, len(shape))):
        size, count = shape[axis], int(np.prod(shape[:axis]))
        texts = [
            f"[{', '.join(texts[row * size : (row + 1) * size])}]"
            for row in range(count)
        ]
    return texts


def _scalars(name: str, array: np.ndarray) -> list[str]:
    flat = array.ravel()
    if array.dtype == object:
        write = _base64 if name.endswith("_bytes") else _string
        return list(map(write, flat.tolist()))
    if array.dtype in _DIGITS:
        return _floats(flat)
    if array.dtype == bool:
        return ["true" if value else "false" for value in flat.tolist()]
    if array.dtype in _INTEGERS:
        return list(map(str, flat.tolist()))
    raise invalid(f"Failed to write JSON value for tensor type: {array.dtype}")


def _floats(values: np.ndarray) -> list[str]:
    """Six digits where they read back as the same number, else all that it takes."""
    texts = _format(values, _DIGITS[values.dtype])
    places = np.flatnonzero(_may_be_short(values))
    shorts = _format(values[places], _FEW_DIGITS)
    same = np.array(list(map(float, shorts))).astype(values.dtype) == values[places]
    for place in np.flatnonzero(same):
        texts[places[place]] = shorts[place]
    for place in np.flatnonzero(~np.isfinite(values)):
        texts[place] = _special(values[place])
    return texts


def _format(values: np.ndarray, digits: int) -> list[str]:
    # One format for all is a third faster than one for each.
    joined = f"%.{digits}g " * len(values) % tuple(values.tolist())
    return [t if "." in t or "e" in t else f"{t}.0" for t in joined.split()]


def _may_be_short(values: np.ndarray) -> np.ndarray:
    """Whether a number is about the same when rounded to six digits."""
    wide = values.astype(np.float64)
    size = np.abs(wide)
    with np.errstate(all="ignore"):
        scale = 10.0 ** (_FEW_DIGITS - 1 - np.floor(np.log10(size)))
        distance = np.abs(np.rint(wide * scale) / scale - wide)
    info = np.finfo(values.dtype)
    far = distance > (0.6 * info.eps + _ROUNDING) * size + info.smallest_subnormal
    return np.isfinite(values) & ~far


def _special(value: np.floating) -> str:
    if np.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _string(value: bytes) -> str:
    return encode_basestring(value.decode("utf-8", "surrogateescape"))


def _base64(value: bytes) -> str:
    return f'{{"b64": "{base64.b64encode(value).decode()}"}}'
