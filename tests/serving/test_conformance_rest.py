"""TensorFlow Serving's REST rules, each asked of a running server.

Every name or comment says which rule of the REST API it is: routes, requests by rows
and by columns, values, answers, statuses and metadata, errors.
"""

import gzip
import json
import math

import numpy as np
import pytest
from serving import conformance

from tfmm.serving import Server
from tfmm.serving.config import ModelConfigFile


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    base = tmp_path_factory.mktemp("rules")
    for version in ("7", "00000012"):
        conformance.save(base / "rules" / version)
    config = base / "models.config"
    config.write_text(
        f"""model_config_list {{ config {{
          name: "rules" base_path: "{base}/rules" model_platform: "tensorflow"
          model_version_policy {{ all {{}} }}
          version_labels {{ key: "stable" value: 7 }}
          version_labels {{ key: "ca nary" value: 12 }} }} }}"""
    )
    with Server(ModelConfigFile(config), rest_api_port=0, grpc_port=0) as server:
        yield server


@pytest.fixture(scope="module")
def rest(running):
    return conformance.Rest(running.rest_port)


ONE = {"inputs": [1.0]}


# Routes
@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/rules:predict",
        "/V1/MODELS/rules:predict",
        "/v1/models/rules/versions/7:predict",
        "/v1/models/rules/versions/00012:predict",
        "/v1/models/rules/labels/stable:predict",
        "/v1/models/rules/labels/ca%20nary:predict",
        "/v1/models/r%75les:predict",
    ],
)
def test_routes_that_predict(rest, path):
    assert rest("POST", path, ONE)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/v1/models/rules:Predict", 400),  # the verb's case counts
        ("POST", "/v1/models/rules:predict?x=1", 400),  # a query breaks every route
        ("POST", "/v1/models/rules/versions/7/labels/stable:predict", 400),
        ("POST", "/v1/models/rules/versions/one:predict", 400),
        ("POST", f"/v1/models/rules/versions/{2**63}:predict", 400),
        ("POST", "/v1/models/rules/versions/8:predict", 404),
        ("POST", "/v1/models/nobody:predict", 404),
        ("POST", "/v1/models/rules/labels/nobody:predict", 400),
        ("GET", "/v1/models/rules:predict", 400),
        ("PUT", "/v1/models/rules:predict", 400),
        ("DELETE", "/v1/models/rules", 400),
        ("OPTIONS", "/v1/models/rules", 400),  # without an Origin
        ("GET", "/v1/models", 400),
        ("POST", "/v1/models/rules:classify", 501),
        ("POST", "/v1/models/rules:regress", 501),
        ("GET", "/v1/models/rules/labels/nobody/metadata", 400),
        ("GET", "/v1/models/nobody/metadata", 404),
        ("GET", "/v1/models/rules/versions/8", 404),
    ],
)
def test_routes_that_are_refused(rest, method, path, code):
    found, text = rest(method, path, b"{}" if method != "POST" else b'{"inputs": 1}')
    assert found == code
    assert set(json.loads(text)) == {"error"}
    assert rest.headers["Content-Type"] == "application/json"


def test_elsewhere_is_html(rest):
    code, text = rest("GET", "/v2/models/rules")
    assert code == 404 and text.startswith("<h1>")


def test_the_content_type_of_a_request_is_never_read(rest):
    assert rest.predict(ONE, **{"Content-Type": "image/png"})[0] == 200


def test_gzip_bodies_are_inflated(rest):
    body = gzip.compress(json.dumps(ONE).encode())
    assert rest.predict(body, **{"Content-Encoding": "gzip"})[0] == 200


# Requests
@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"inputs": [1.0]}',  # byte order mark
        b' \t\r\n{"inputs": [1.0]}',
        b'{"inputs": [1.0]} trailing [bytes',
        b'{"inputs": [1.0], "inputs": ["second"]}',  # the first of two keys counts
        b'{"inputs": [1.0], "anything": {"else": 1}}',
        b'{"inputs": [1.0], "signature_name": ""}',
        b'{"inputs": [1.0], "signature_name": "serving_default"}',
    ],
)
def test_bodies_that_are_taken(rest, body):
    assert rest.predict(body) == (200, {"outputs": [2.5]})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b"{",
        b'{"inputs": [1.0,]}',
        b'{"inputs": [1.0] // comment\n}',
        b'{"inputs": [1e999]}',
        b'{"inputs": 1, "instances": [1]}',
        b'{"neither": 1}',
        b'{"inputs": 1, "signature_name": 7}',
        b'{"inputs": 1, "signature_name": "nobody"}',
        b'{"inputs": ' + b"[" * 500_000,
        b'{"a":' * 500_000,
        b'{"inputs": "\xff\xfe"',
    ],
)
def test_bodies_that_are_refused(rest, body):
    code, answer = rest.predict(body)
    assert code == 400 and answer["error"]


def test_bad_json_is_told_before_an_unknown_model(rest):
    code, answer = rest.predict(b"{", model="nobody")
    assert code == 400 and "Parse error" in answer["error"]
    code, _ = rest.predict({"inputs": 1}, "nobody", model="nobody")
    assert code == 404


# Rows
def test_rows_of_one_input(rest):
    for rows in ([1.0, 2.0], [{"x": 1.0}, {"x": 2.0}]):
        assert rest.predict({"instances": rows}) == (200, {"predictions": [2.5, 3.0]})


def test_rows_of_several_inputs(rest):
    rows = [{"a": [1.0], "b": "p"}, {"b": "q", "a": [2.0]}]
    code, answer = rest.predict({"instances": rows}, "two")
    assert code == 200 and answer["predictions"] == [
        {"a": [1.0], "b": "p"},
        {"a": [2.0], "b": "q"},
    ]


@pytest.mark.parametrize(
    ("rows", "signature", "message"),
    [
        ([], "floats", "No values in 'instances'"),
        ({}, "floats", "to be an list"),
        ([1.0, {"x": 1.0}], "floats", "got object at item 1"),
        ([{"x": 1.0}, 1.0], "floats", "got list at item 1"),
        ([[1.0], [1.0, 2.0]], "floats", "Expecting tensor size: 1 but got: 2"),
        ([[1.0, 2.0], [[1.0], [2.0]]], "floats", "Expecting shape [2] but got: [2,1]"),
        ([{"a": 1.0}], "two", "keys must be equal to: a,b"),
        ([{"a": 1.0, "b": "", "c": 1}], "two", "keys must be equal to: a,b"),
        ([1.0], "two", "expecting list of objects"),
    ],
)
def test_rows_that_are_refused(rest, rows, signature, message):
    code, answer = rest.predict({"instances": rows}, signature)
    assert code == 400 and message in answer["error"]


def test_rows_with_empty_lists_have_no_size(rest):
    assert rest.predict({"instances": [[], []]}, "floats") == (
        200,
        {"predictions": [[], []]},
    )


def test_rows_need_outputs_of_one_batch(rest):
    assert rest.predict({"instances": [1.0, 2.0]}, "total")[0] == 400
    code, answer = rest.predict({"instances": [1.0, 2.0]}, "uneven")
    assert code == 400 and "inconsistent batch size" in answer["error"]


# Columns
def test_columns_of_any_shape(rest):
    for value in (1.5, [], [1.0, 2.0], [[[1.0]]], [[], []]):
        assert rest.columns("floats", value) == value
        assert rest.columns("floats", {"x": value}) == value


def test_columns_may_be_uneven_and_of_no_rank(rest):
    assert rest.columns("total", [1.0, 2.0]) == 3.0
    assert rest.columns("uneven", [1.0, 2.0]) == {"y": [1.0, 2.0], "z": [1.0]}


def test_columns_need_every_input_and_ignore_others(rest):
    code, message = rest.columns("two", {"a": 1.0})
    assert code == 400 and message.startswith("Missing named input: b")
    assert rest.columns("two", {"a": 1.0, "b": "", "misspelt": 1}) == {"a": 1, "b": ""}


@pytest.mark.parametrize("value", [[[1.0], 2.0], [[1.0], [1.0, 2.0]], [1.0, [2.0]]])
def test_ragged_columns_are_refused(rest, value):
    assert rest.columns("floats", value)[0] == 400


# Values
@pytest.mark.parametrize("text", ["1.0", "1e2", "true", '"1"', "null", "{}", "1.5"])
@pytest.mark.parametrize("signature", ["int32s", "int64s", "uint8s"])
def test_integers_need_integer_tokens(rest, signature, text):
    assert rest.raw(signature, text)[0] == 400


@pytest.mark.parametrize(
    ("signature", "low", "high"),
    [
        ("int32s", -(2**31), 2**31 - 1),
        ("int64s", -(2**63), 2**63 - 1),
        ("uint32s", 0, 2**32 - 1),
        ("uint64s", 0, 2**64 - 1),
    ],
)
def test_ranges_of_integers(rest, signature, low, high):
    assert rest.columns(signature, [low, high]) == [low, high]
    assert rest.raw(signature, str(low - 1))[0] == 400
    assert rest.raw(signature, str(high + 1))[0] == 400


def test_small_integers_wrap(rest):
    assert rest.columns("uint8s", [300]) == [44]
    assert rest.columns("int8s", [300]) == [44]
    assert rest.columns("int16s", [2**16 + 5]) == [5]


def test_floats_take_any_number(rest):
    assert rest.columns("floats", [1, -2, 3.5]) == [1.0, -2.0, 3.5]
    assert rest.raw("floats", "[1e-50, -1e-50]") == [0.0, 0.0]
    found = rest.raw("floats", "[NaN, Infinity, -Infinity, 1e39]")
    assert math.isnan(found[0]) and found[1:] == [math.inf, -math.inf, math.inf]


@pytest.mark.parametrize("text", ['"NaN"', "nan", "true", '"1"', "null"])
def test_floats_take_nothing_else(rest, text):
    assert rest.raw("floats", text)[0] == 400


def test_bools_are_bools(rest):
    assert rest.columns("bools", [True, False]) == [True, False]
    assert rest.raw("bools", "1")[0] == 400


def test_texts_and_base64(rest):
    assert rest.columns("texts", ["é", {"b64": "w6k="}, {"b64": "w6k"}]) == ["é"] * 3
    assert rest.columns("texts", [{"b64": " w6\nk= "}]) == ["é"]
    # The alphabet of addresses is another.
    assert rest.columns("texts", [{"b64": "-_-_"}])[0] == 400
    for value in ({"b64": 1}, {"b64": "", "x": 1}, {"c": "w6k="}, 1, None, True):
        assert rest.columns("texts", [value])[0] == 400


def test_bytes_come_back_as_base64(rest):
    data = [{"b64": "AP8="}]
    code, answer = rest.predict({"inputs": data}, "images")
    assert code == 200 and answer == {"outputs": data}


# Answers
@pytest.mark.parametrize(
    "value", [9e6, 3e-5, 1 / 3, 16777217.0, 0.1, 1e38, -0.0, 1e-40]
)
def test_floats_read_back_as_the_same_float32(rest, value):
    (found,) = rest.columns("floats", [value])
    assert np.float32(found) == np.float32(value)


def test_doubles_read_back_as_they_were(rest):
    assert rest.columns("doubles", [1 / 3, 1e300]) == [1 / 3, 1e300]


def test_whole_floats_are_floats(rest):
    _, text = rest("POST", "/v1/models/rules:predict", {"inputs": [2.0]})
    assert "3.0" in text


def test_halves_cannot_travel(rest):
    code, message = rest.columns("halves", [1.0])
    assert code == 400 and "Failed to write JSON value for tensor type" in message


def test_what_the_graph_refuses(rest):
    code, message = rest.columns("row", [0.0, 9.0])
    assert code == 400 and "indices[1] = 9 is not in [0, 2)" in message


# Status and metadata
def test_status(rest):
    code, text = rest("GET", "/v1/models/rules")
    states = json.loads(text)["model_version_status"]
    assert code == 200 and [s["version"] for s in states] == ["12", "7"]
    assert states[0] == {
        "version": "12",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    # Labels are not looked at.
    assert rest("GET", "/v1/models/rules/labels/nobody")[0] == 200
    assert len(json.loads(rest("GET", "/v1/models/rules/versions/7")[1])) == 1


def test_metadata(rest):
    code, text = rest("GET", "/v1/models/rules/labels/stable/metadata")
    answer = json.loads(text)
    assert code == 200
    assert answer["model_spec"] == {
        "name": "rules",
        "signature_name": "",
        "version": "7",
    }
    found = answer["metadata"]["signature_def"]["signature_def"]
    assert found["two"]["method_name"] == "tensorflow/serving/predict"
    assert found["two"]["inputs"]["b"]["dtype"] == "DT_STRING"
    assert found["two"]["defaults"] == {}
    assert found["row"]["inputs"]["x"]["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }
    assert "__saved_model_init_op" in found


def test_metrics(rest):
    code, text = rest("GET", "/monitoring/prometheus/metrics")
    assert code == 200 and rest.headers["Content-Type"].startswith("text/plain")
    names = ':tensorflow:serving:request_count{model_name="rules",status="OK"}'
    assert names in text
    # Names that clients make up are not kept.
    rest.predict(ONE, model="made-up")
    assert "made-up" not in rest("GET", "/monitoring/prometheus/metrics")[1]
