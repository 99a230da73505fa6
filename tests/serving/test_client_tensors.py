"""Values to tensor messages and back, against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfmm.errors import TfmmError
from tfmm.serving import InvalidArgument
from tfmm.serving.client_tensors import to_array, to_proto

DTYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT8": np.int8,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
}
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
numbers = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: st.tuples(st.just(name), hnp.arrays(DTYPES[name], shapes))
)
texts = hnp.arrays(object, shapes, elements=st.text(max_size=4))


@given(numbers)
def test_numbers_are_those_that_tensorflow_reads(pair):
    dtype, array = pair
    np.testing.assert_array_equal(tf.make_ndarray(to_proto(array, dtype, "x")), array)


@given(numbers)
def test_numbers_that_a_server_writes_are_read(pair):
    _, array = pair
    # Block of bytes, and one value after the other, as the real server sends them.
    for proto in (tf.make_tensor_proto(array), as_server(array)):
        found = to_array(proto, "x")
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype and found.shape == array.shape
        found[...] = 0  # The caller's own.


def as_server(array):
    field = {"b": "bool", "f": "float", "u": "uint", "i": "int"}[array.dtype.kind]
    if array.dtype.itemsize == 8:
        field = {"f": "double"}.get(array.dtype.kind, f"{field}64")
    elif array.dtype.kind == "u":
        field = "int"
    proto = tf.make_tensor_proto(array[..., None][..., :0])
    proto.ClearField("tensor_content")
    del proto.tensor_shape.dim[-1]
    getattr(proto, f"{field}_val").extend(array.ravel().tolist())
    return proto


@given(texts)
def test_texts_come_back(array):
    proto = to_proto(array, "DT_STRING", "x")
    assert to_array(proto, "x").tolist() == array.tolist()
    encoded = to_array(proto, "x_bytes")
    assert [t.decode() for t in encoded.flat] == list(array.flat)
    assert [t.decode() for t in tf.make_ndarray(proto).flat] == list(array.flat)


def test_bytes_that_are_no_text_stay_bytes():
    proto = to_proto([b"\xff", "ok"], "DT_STRING", "x")
    assert to_array(proto, "x").tolist() == [b"\xff", b"ok"]


def test_the_last_value_counts_on():
    proto = tf.make_tensor_proto(np.float32(2.5), shape=[2, 2])
    proto.ClearField("tensor_content")
    proto.float_val[:] = [1.0, 2.5]
    assert to_array(proto, "x").tolist() == [[1.0, 2.5], [2.5, 2.5]]


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (["1"], "DT_INT64"),
        ([1.0], "DT_INT64"),
        ([float("nan")], "DT_INT32"),
        ([2**31], "DT_INT32"),
        ([-1], "DT_UINT8"),
        ([2**63], "DT_INT64"),
        ([2**64], "DT_UINT64"),
        ([None], "DT_FLOAT"),
        (["1.5"], "DT_FLOAT"),
        ([1], "DT_BOOL"),
        ([[1.0], [1.0, 2.0]], "DT_FLOAT"),
        ([1], "DT_STRING"),
        ([["a"], ["b", "c"]], "DT_STRING"),
        ([1], "DT_RESOURCE"),
    ],
)
def test_what_is_no_such_tensor(value, dtype):
    with pytest.raises(InvalidArgument, match=f"`x` takes a tensor of {dtype}"):
        to_proto(value, dtype, "x")


@pytest.mark.parametrize(
    ("value", "dtype", "found"),
    [
        ([], "DT_INT64", []),
        ([True, 2], "DT_INT64", [1, 2]),
        ([1, 2], "DT_FLOAT", [1.0, 2.0]),
        ([1e39, float("-inf")], "DT_FLOAT", [float("inf"), float("-inf")]),
        (np.arange(4)[::2], "DT_INT32", [0, 2]),
        (np.array([1], ">i8"), "DT_INT64", [1]),
        (np.array(["a", "b"]), "DT_STRING", ["a", "b"]),
    ],
)
def test_what_fits(value, dtype, found):
    assert to_array(to_proto(value, dtype, "x"), "x").tolist() == found


def test_an_output_that_numpy_cannot_hold():
    proto = tf.make_tensor_proto(tf.constant([1.0], tf.bfloat16))
    with pytest.raises(TfmmError, match=r"DT_BFLOAT16.*output_filter"):
        to_array(proto, "logit")
