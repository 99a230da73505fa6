"""Values of a client as tensor messages and back, by numpy alone."""

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from tfmm.errors import TfmmError
from tfmm.serving.client_errors import server_error
from tfmm.serving.client_messages import without_tensorflow

with without_tensorflow():
    from tensorflow.core.framework import tensor_pb2, types_pb2

_TEXT = "DT_STRING"
# What a number is in numpy, and the field that servers send such numbers in.
_NUMBERS = {
    "DT_FLOAT": (np.float32, "float_val"),
    "DT_DOUBLE": (np.float64, "double_val"),
    "DT_INT8": (np.int8, "int_val"),
    "DT_INT16": (np.int16, "int_val"),
    "DT_INT32": (np.int32, "int_val"),
    "DT_INT64": (np.int64, "int64_val"),
    "DT_UINT8": (np.uint8, "int_val"),
    "DT_UINT16": (np.uint16, "int_val"),
    "DT_UINT32": (np.uint32, "uint32_val"),
    "DT_UINT64": (np.uint64, "uint64_val"),
    "DT_BOOL": (np.bool_, "bool_val"),
}


def dtype_name(number: int) -> str:
    """The name of a dtype by its number, e.g. `"DT_INT64"`."""
    return types_pb2.DataType.Name(number)


def to_proto(value: Any, dtype: str, name: str) -> Any:
    """A TensorProto: numbers as one block of bytes, texts one by one.

    Args:
        value: An array, list or scalar; texts as `str` or bytes.
        dtype: What the model takes, e.g. `"DT_INT64"`.
        name: The input's name, for the message.

    Raises:
        InvalidArgument: If it is no such tensor: texts for numbers or the reverse,
            fractions for whole numbers, numbers out of range, rows of several lengths.

    Example:
        >>> to_proto([[1, 2]], "DT_INT32", "n_items").tensor_content
        b'\\x01\\x00\\x00\\x00\\x02\\x00\\x00\\x00'
    """
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DataType.Value(dtype))
    try:
        if dtype == _TEXT:
            array = np.asarray(value, object)
            proto.string_val.extend(map(_encoded, array.flat))
        else:
            array = _cast(np.asarray(value), np.dtype(_NUMBERS[dtype][0]))
            proto.tensor_content = array.tobytes()
    except (TypeError, ValueError, KeyError) as error:
        raise server_error(
            400,
            f"`{name}` takes a tensor of {dtype}. Received: values that are none, or "
            "rows of several lengths. Send an array of that type.",
        ) from error
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def to_array(proto: Any, name: str) -> np.ndarray:
    """The array of a TensorProto.

    Args:
        proto: The TensorProto; of fewer values than elements the last one counts on.
        name: The output's name. Texts of one that ends in `_bytes` are bytes, as over
            REST, and so are texts that are no UTF-8.

    Raises:
        TfmmError: If numpy has no such type.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    dtype = dtype_name(proto.dtype)
    if dtype == _TEXT:
        values = np.empty(len(proto.string_val), object)
        values[:] = _texts(proto.string_val, name.endswith("_bytes"))
    elif dtype not in _NUMBERS:
        raise TfmmError(
            f"numpy has no type for the output `{name}`. Expected one of: "
            f"{sorted(_NUMBERS)} or {_TEXT}. Received: {dtype}. Leave it out by "
            "`output_filter`, or cast it in the model."
        )
    else:
        kind, field = _NUMBERS[dtype]
        if proto.tensor_content:
            return np.frombuffer(proto.tensor_content, kind).reshape(shape).copy()
        values = np.array(getattr(proto, field), kind)
    lacking = prod(shape) - len(values)
    if lacking > 0:
        values = np.concatenate([values, np.repeat(values[-1:], lacking)])
    return values.reshape(shape)


def _cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if array.size and not np.can_cast(array.dtype, dtype, "same_kind"):
        raise TypeError
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if dtype.kind in "iu" and (cast != array).any():
        raise ValueError
    return cast


def _encoded(text: Any) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError
    return text.encode()


def _texts(values: Iterable[bytes], as_bytes: bool) -> list[str] | list[bytes]:
    found = list(values)
    if as_bytes:
        return found
    try:
        return [text.decode() for text in found]
    except UnicodeDecodeError:
        return found
