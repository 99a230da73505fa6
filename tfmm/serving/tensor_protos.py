"""Tensors as protos and back: numbers as one block of bytes, texts one by one."""

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

_TEXT = tf.string.as_datatype_enum


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
