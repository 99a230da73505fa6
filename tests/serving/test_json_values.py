import json

import numpy as np
import pytest

from tfmm.serving.json_values import parse_object, tensor_of
from tfmm.serving.status import StatusError


def parse(text):
    return parse_object(text if isinstance(text, bytes) else text.encode())


def test_what_real_servers_take():
    assert parse(r'{"a": "\\ud800 \ud83d\uDE00"}') == {"a": "\\ud800 😀"}
    assert parse('\ufeff {"a": 1} trailing') == {"a": 1}
    assert parse('{"a": 1, "b": 2, "a": 3}') == {"a": 1, "b": 2}
    assert parse('{"a": [NaN, -Infinity]}')["a"][1] == -np.inf
    assert parse(b'{"a": "\xff"}')["a"].encode("utf-8", "surrogateescape") == b"\xff"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "  ",
        "{",
        "[1]",
        "3",
        '{"a": 1,}',
        '{"a": 1e999}',
        '{"a": ' + "[" * 500_000,
        '{"a": ' + "[" * 500_000 + "]" * 500_000 + "}",
        '{"a": ' + "1" * 5000 + "}",
        "{'a': 1}",
        r'{"a": "\ud800"}',
        r'{"a": "\udcff"}',
        r'{"a": "\ud83d\ud83d\ude00"}',
    ],
)
def test_what_they_do_not(body):
    with pytest.raises(StatusError, match="JSON") as error:
        parse(body)
    assert error.value.http_code == 400


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (7, "int32", np.int32(7)),
        ([-(2**63), 2**63 - 1], "int64", np.array([-(2**63), 2**63 - 1])),
        ([2**64 - 1], "uint64", np.array([2**64 - 1], np.uint64)),
        ([300, -1], "uint8", np.array([44, 255], np.uint8)),
        ([1, 0.1, 1e39], "float32", np.float32([1, 0.1, np.inf])),
        ([1e-60, -1e-60], "float32", np.float32([0, 0])),
        ([[True], [False]], "bool", np.array([[True], [False]])),
        ([[]], "int64", np.zeros((1, 0), np.int64)),
        ([], "float32", np.zeros(0, np.float32)),
    ],
)
def test_numbers(value, dtype, expected):
    found = tensor_of(value, dtype)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


def test_strings():
    value = json.loads('["\\u00e9", "", {"b64": "AP8="}, {"b64": "A P\\n8"}]')
    found = tensor_of(value, "string")
    assert found.tolist() == ["é".encode(), b"", b"\x00\xff", b"\x00\xff"]


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        ([1.0], "int64", r"1.0 Type: Number is not of expected type: int64"),
        ([True], "int32", r"true Type: True is not of expected type: int32"),
        (["1"], "int64", r'"1" Type: String'),
        (["NaN"], "float32", "of expected type: float"),
        ([True], "float32", "Type: True"),
        ([1], "bool", "Type: Number"),
        ([None], "string", "null Type: Null is not of expected type: string"),
        ([2**31], "int32", "2147483648 Type: Number"),
        ([2**63], "int64", "9223372036854775808"),
        ([-1], "uint32", "-1 Type: Number"),
        ([10**400], "float32", "not of expected type: float"),
        ([2**31], "uint8", "2147483648"),
        ([[1, 2], [3]], "int64", "unexpected size: 1 at level: 1 expected size: 2"),
        ([1, [2]], "int64", "list at unexpected level"),
        ([[1], 2], "int64", "found at incorrect level: 2"),
        ([{"b64": "_-8="}], "string", "Unable to base64 decode"),
        ([{"b64": "AA", "x": 1}], "string", "base64 data"),
        ([{"b64": 3}], "string", "base64 data"),
        ([{"b64": "AA"}], "int64", "Type: Object"),
        (json.loads("[" * 32 + "]" * 32), "int64", "nested 32 deep"),
    ],
)
def test_refused_values(value, dtype, message):
    with pytest.raises(StatusError, match=message) as error:
        tensor_of(value, dtype)
    assert error.value.http_code == 400


def test_an_inexpressible_dtype():
    with pytest.raises(StatusError) as error:
        tensor_of([1], "bfloat16")
    assert error.value.http_code == 501
