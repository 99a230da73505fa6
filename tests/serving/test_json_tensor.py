import json

import numpy as np
import pytest

from tfmm.serving.json_tensor import read_request, write_response
from tfmm.serving.status import StatusError

TWO = {"a": "float32", "b": "string"}
ONE = {"x": "int64"}


def read(document, dtypes):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_request(body, lambda name: dtypes)


def test_columns():
    request = read({"inputs": {"a": [[1, 2]], "b": "s", "misspelt": 3}}, TWO)
    assert request.signature == "serving_default" and not request.row_format
    assert request.inputs["a"].tolist() == [[1.0, 2.0]]
    assert request.inputs["b"].shape == () and request.inputs["b"].item() == b"s"


@pytest.mark.parametrize("value", [5, [5], [[5]], {"x": [5]}])
def test_a_single_input_needs_no_name(value):
    bare = value["x"] if isinstance(value, dict) else value
    found = read({"inputs": value}, ONE).inputs["x"]
    np.testing.assert_array_equal(found, np.array(bare))


def test_rows():
    rows = [{"a": [1, 2], "b": "x"}, {"b": {"b64": "eQ=="}, "a": [3, 4]}]
    request = read({"signature_name": "rank", "instances": rows}, TWO)
    assert request.signature == "rank" and request.row_format
    assert request.inputs["a"].tolist() == [[1, 2], [3, 4]]
    assert request.inputs["b"].tolist() == [b"x", b"y"]


def test_bare_rows_of_a_single_input():
    assert read({"instances": [1, 2]}, ONE).inputs["x"].tolist() == [1, 2]
    assert read({"instances": [{"x": [1]}]}, ONE).inputs["x"].tolist() == [[1]]
    found = read({"instances": [{"b64": "eQ=="}, "z"]}, {"s": "string"})
    assert found.inputs["s"].tolist() == [b"y", b"z"]


@pytest.mark.parametrize(
    ("document", "dtypes", "message"),
    [
        ({}, ONE, "Missing 'inputs' or 'instances' key"),
        ({"inputs": 1, "instances": [1]}, ONE, "expecting only one of"),
        ({"signature_name": 3, "inputs": 1}, ONE, "must be a string value"),
        ({"inputs": 1}, {}, "Failed to get input map"),
        ({"inputs": [1]}, TWO, "plain value/list"),
        ({"inputs": {"a": 1}}, TWO, "Missing named input: b"),
        ({"inputs": {"a": "1", "b": ""}}, TWO, "input: a. Error: JSON Value"),
        ({"instances": {}}, ONE, "Excepting 'instances'"),
        ({"instances": []}, ONE, "No values in 'instances'"),
        ({"instances": [1]}, TWO, "expecting list of objects"),
        ({"instances": [{"x": 1}, 2]}, ONE, "Expecting object but got list at item 1"),
        ({"instances": [1, {"x": 2}]}, ONE, "Expecting value/list but got object at"),
        ({"instances": [{"a": 1}]}, TWO, "keys must be equal to: a,b"),
        ({"instances": [{"a": 1, "b": "", "c": 1}]}, TWO, "keys must be equal to"),
        ({"instances": [[1, 2], [3]]}, ONE, "Expecting tensor size: 2 but got: 1"),
        ({"instances": [[1], [[1]]]}, ONE, r"Expecting shape \[1\] but got: \[1,1\]"),
    ],
)
def test_refused_requests(document, dtypes, message):
    with pytest.raises(StatusError, match=message) as error:
        read(document, dtypes)
    assert error.value.http_code == 400


def test_bad_json_is_told_before_an_unknown_model():
    def dtypes_of(name):
        raise StatusError("NOT_FOUND", "no model")

    with pytest.raises(StatusError, match="Parse error"):
        read_request(b"{", dtypes_of)
    with pytest.raises(StatusError, match="no model"):
        read_request(b"{}", dtypes_of)


def test_answers():
    one = {"y": np.float32([0.1, 1])}
    assert write_response(one, row_format=False) == b'{"outputs": [0.1, 1.0]}'
    two = {"y": np.float32([1.5]), "n": np.array([[7, 8]])}
    assert json.loads(write_response(two, row_format=True)) == {
        "predictions": [{"y": 1.5, "n": [7, 8]}]
    }
    assert json.loads(write_response(two, row_format=False)) == {
        "outputs": {"y": [1.5], "n": [[7, 8]]}
    }


def test_floats_read_back_as_the_same_float32():
    generator = np.random.default_rng(0)
    values = generator.integers(0, 2**32, 20_000, np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    text = write_response({"y": values}, row_format=False)
    assert (np.float32(json.loads(text)["outputs"]) == values).all()
    special = write_response({"y": np.float32([np.nan, -np.inf])}, row_format=False)
    assert special == b'{"outputs": [NaN, -Infinity]}'


def test_bytes_and_strings_of_answers():
    array = np.array([b"\xff\x00"], object)
    assert write_response({"image_bytes": array}, False) == (
        b'{"outputs": [{"b64": "/wA="}]}'
    )
    assert write_response({"s": np.array(["é".encode()], object)}, False) == (
        '{"outputs": ["é"]}'.encode()
    )


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"y": np.float32(1)}, "no shape information"),
        ({"y": np.zeros(2), "z": np.zeros(3)}, "inconsistent batch size"),
        ({"y": np.zeros(2, np.float16)}, "Failed to write JSON value"),
    ],
)
def test_answers_that_rows_cannot_hold(outputs, message):
    with pytest.raises(StatusError, match=message):
        write_response(outputs, row_format=True)
