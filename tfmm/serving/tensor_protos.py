"""Tensors as protos and back: a client sends blocks of bytes, a server typed fields."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tfmm.serving.status import invalid

_TEXT = tf.string.as_datatype_enum
_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "object": "string_val",
}


def to_proto(value: Any, dtype: tf.DType | None = None) -> Any:
    """A TensorProto of an array.

    Args:
        value: An array, list or scalar; texts as `str` or bytes.
        dtype: What it shall be; by the look of it when absent.

    Raises:
        TypeError, ValueError: If it cannot be that.

    Example:
        >>> to_proto([[1, 2]], tf.int32).tensor_content
        b'\\x01\\x00\\x00\\x00\\x02\\x00\\x00\\x00'
    """
    if dtype == tf.string or (dtype is None and np.asarray(value).dtype.kind in "OSU"):
        array = np.asarray(value, object)
        proto = tensor_pb2.TensorProto(dtype=_TEXT)
        proto.string_val.extend(
            v if isinstance(v, bytes) else str(v).encode() for v in array.ravel()
        )
    else:
        array = np.asarray(value, None if dtype is None else dtype.as_numpy_dtype)
        proto = tensor_pb2.TensorProto(
            dtype=tf.as_dtype(array.dtype).as_datatype_enum,
            tensor_content=np.ascontiguousarray(array).tobytes(),
        )
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def to_array(proto: Any) -> np.ndarray:
    """The array of a TensorProto; texts as an `object` array of bytes.

    Raises:
        TypeError, ValueError: If the proto is damaged.
    """
    if proto.dtype != _TEXT:
        return tf.make_ndarray(proto)
    shape = [dim.size for dim in proto.tensor_shape.dim]
    texts = list(proto.string_val)
    if len(texts) != int(np.prod(shape)):
        return tf.make_ndarray(proto)
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(shape)


def fill_proto(proto: Any, array: np.ndarray) -> None:
    """Writes an array into an empty TensorProto, in the fields that TF Serving fills.

    Args:
        proto: The TensorProto.
        array: The tensor; strings as an `object` array of bytes.
    """
    field = _FIELDS.get(array.dtype.name)
    if field is None:
        proto.CopyFrom(tf.make_tensor_proto(array))
        return
    proto.dtype = (
        _TEXT if array.dtype == object else tf.as_dtype(array.dtype).as_datatype_enum
    )
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(array.ravel().tolist())


def read_proto(proto: Any, limit: int) -> np.ndarray:
    """The array that a TensorProto holds; its last value fills what is left out.

    Args:
        proto: The TensorProto.
        limit: Most bytes of the array, for a shape alone may claim any number.

    Raises:
        StatusError: INVALID_ARGUMENT if values and shape do not fit, or it is too big.
    """
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    try:
        size = math.prod(shape) * max(1, tf.as_dtype(proto.dtype).size or 1)
        if size > limit:
            raise ValueError(f"shape {shape} is longer than {limit} bytes")
        return to_array(proto)
    except (TypeError, ValueError) as error:
        raise invalid(f"Could not parse a tensor proto: {error}") from error
