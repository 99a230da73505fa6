"""TF Serving's REST rules, one case each; ids begin with the spec's section."""

import gzip
import json
import math

import pytest
from serving.small_models import LARGEST, ask, predict

HALF = "/v1/models/half"
X = b'{"inputs": [2]}'
NAMED = b'{"signature_name": "serving_default", "inputs": [2]}'
OLD, NEW = {"outputs": [3.0]}, {"outputs": [4.0]}


def rule(section, *values):
    return pytest.param(*values, id=section.replace(" ", "-"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        rule("2.1 highest version", HALF, NEW),
        rule("2.1 version", f"{HALF}/versions/1", OLD),
        rule("2.1 leading zeros", f"{HALF}/versions/0001", OLD),
        rule("2.1 largest version", f"{HALF}/versions/{LARGEST}", NEW),
        rule("2.1 label", f"{HALF}/labels/stable", OLD),
        rule("2.1 label percent-decoded", f"{HALF}/labels/a%2Fb", NEW),
        rule("2.1 name percent-decoded", "/v1/models/h%61lf", NEW),
        rule("2.1 space in a name", "/v1/models/a%20b", OLD),
        rule("2.1 case of the path", "/V1/MODELS/half/Versions/1", OLD),
    ],
)
def test_predict_routes(conforming, path, expected):
    code, kind, body = ask(conforming, "POST", f"{path}:predict", X)
    assert (code, kind, json.loads(body)) == (200, "application/json", expected)


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        rule("2.1 no model", "GET", "/v1/models", 400, "Missing model name in request"),
        rule("2.1 verb", "GET", f"{HALF}:predict", 400, "Malformed request: GET /v1"),
        rule("2.1 PUT", "PUT", f"{HALF}:predict", 400, "Malformed request: PUT"),
        rule("2.1 DELETE", "DELETE", HALF, 400, "Malformed request: DELETE /v1"),
        rule("2.1 odd method", "BREW", HALF, 400, "Malformed request: BREW"),
        rule("2.1 POST to status", "POST", HALF, 400, "Malformed request: POST"),
        rule("2.1 case of the verb", "POST", f"{HALF}:Predict", 400, "Malformed"),
        rule("2.1 query", "POST", f"{HALF}:predict?x=1", 400, "Malformed request"),
        rule("2.1 query of status", "GET", f"{HALF}?x=1", 404, "of model half?x=1"),
        rule("2.1 letters", "POST", f"{HALF}/versions/x:predict", 400, "Malformed"),
        rule("2.1 sign", "POST", f"{HALF}/versions/-1:predict", 400, "Malformed"),
        rule(
            "2.1 version and label",
            "POST",
            f"{HALF}/versions/1/labels/stable:predict",
            400,
            "Malformed request",
        ),
        rule(
            "2.1 beyond int64",
            "POST",
            f"{HALF}/versions/{LARGEST + 1}:predict",
            400,
            f"Failed to convert version: {LARGEST + 1} to numeric.",
        ),
        rule(
            "2.1 5000 digits",
            "POST",
            f"{HALF}/versions/{'9' * 5000}:predict",
            400,
            "Failed to convert version: 999",
        ),
        rule("2.1 other path", "GET", "/v1/model", 400, "Malformed request: GET /v1/m"),
        rule("2.1 OPTIONS without Origin", "OPTIONS", HALF, 400, "Malformed request"),
        rule("2.5 classify", "POST", f"{HALF}:classify", 501, "tensorflow_model_"),
        rule("2.5 regress", "POST", f"{HALF}:regress", 501, "tensorflow_model_"),
        rule(
            "2.6 unknown model",
            "POST",
            "/v1/models/x:predict",
            404,
            "Servable not found for request: Latest(x)",
        ),
        rule(
            "2.6 unknown version",
            "POST",
            f"{HALF}/versions/9:predict",
            404,
            "Servable not found for request: Specific(half, 9)",
        ),
        rule(
            "2.6 unknown label",
            "POST",
            f"{HALF}/labels/x:predict",
            400,
            "Unrecognized servable version label: x",
        ),
        rule(
            "2.6 metadata of unknown label",
            "GET",
            f"{HALF}/labels/x/metadata",
            400,
            "Unrecognized servable version label: x",
        ),
        rule(
            "2.6 metadata of unknown model",
            "GET",
            "/v1/models/x/metadata",
            404,
            "Servable not found for request: Latest(x)",
        ),
        rule(
            "2.6 status of unknown model",
            "GET",
            "/v1/models/x",
            404,
            "Could not find any versions of model x",
        ),
        rule(
            "2.6 status of unknown version",
            "GET",
            f"{HALF}/versions/9",
            404,
            "Could not find version 9 of model half",
        ),
    ],
)
def test_refused_routes(conforming, method, path, code, message):
    found, kind, body = ask(conforming, method, path, X if method == "POST" else None)
    assert (found, kind) == (code, "application/json")
    document = json.loads(body)
    assert list(document) == ["error"] and message in document["error"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/half", "/v1x/"])
def test_2_1_elsewhere_is_no_json(conforming, path):
    code, kind, _ = ask(conforming, "GET", path)
    assert (code, kind) == (404, "text/html")


def test_2_1_options_with_origin(conforming):
    origin = {"Origin": "http://shop"}
    assert ask(conforming, "OPTIONS", f"{HALF}:predict", headers=origin)[0] == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        rule("2.1 any content type", X, {"Content-Type": "text/css"}),
        rule("2.1 gzip", gzip.compress(X), {"Content-Encoding": "gzip"}),
        rule("2.3 byte order mark", b"\xef\xbb\xbf" + X, {}),
        rule("2.3 trailing bytes", X + b"} not [json", {}),
        rule("2.3 first key wins", b'{"inputs": [2], "inputs": "x"}', {}),
        rule("2.3 first key wins, before", b'{"inputs": [2], "a": 1, "a": 2}', {}),
        rule("2.3 other keys", b'{"other": {"a": [null]}, "inputs": [2]}', {}),
        rule("2.3 empty signature", b'{"signature_name": "", "inputs": [2]}', {}),
        rule("2.3 named signature", NAMED, {}),
        rule("2.3 one input by name", b'{"inputs": {"x": [2]}}', {}),
        rule("2.3 extra column", b'{"inputs": {"x": [2], "misspelt": 1}}', {}),
    ],
)
def test_what_is_taken(conforming, body, headers):
    code, _, text = ask(conforming, "POST", f"{HALF}:predict", body, headers)
    assert (code, json.loads(text)) == (200, NEW)


DEEP = b"[" * 500_000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        rule("2.3 empty", b"", "JSON Parse error: The document is empty"),
        rule("2.3 spaces", b" \n", "JSON Parse error: The document is empty"),
        rule("2.3 no object", b"[1]", "Is not object"),
        rule("2.3 a number", b"3", "Is not object"),
        rule("2.3 comment", b'{/* */"inputs": 1}', "JSON Parse error"),
        rule("2.3 trailing comma", b'{"inputs": [1,]}', "JSON Parse error"),
        rule("2.3 single quotes", b"{'inputs': [1]}", "JSON Parse error"),
        rule("2.3 cut off", b'{"inputs": [1', "JSON Parse error"),
        rule("2.3 too big a float", b'{"inputs": [1e309]}', "too big to be stored"),
        rule("2.3 lone surrogate", rb'{"inputs": "\ud800"}', "surrogate pair"),
        rule("2.3 control character", b'{"inputs": "\x01"}', "JSON Parse error"),
        rule("2.3 nested deeply, open", b'{"inputs": ' + DEEP, "JSON"),
        rule(
            "2.3 nested deeply", b'{"a": ' + DEEP + DEEP.replace(b"[", b"]") + b"}", ""
        ),
        rule("2.3 nested 900", b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}", "deep"),
        rule("2.3 both formats", b'{"inputs": 1, "instances": [1]}', "expecting only"),
        rule("2.3 no format", b"{}", "Missing 'inputs' or 'instances' key"),
        rule("2.3 signature type", b'{"signature_name": 1, "inputs": 1}', "a string"),
        rule(
            "2.3 unknown signature",
            b'{"signature_name": "x", "inputs": 1}',
            'Serving signature name: "x" not found in signature def',
        ),
        rule(
            "2.3 no inputs",
            b'{"signature_name": "nothing", "inputs": {}}',
            "Failed to get input map for",
        ),
        rule(
            "2.3 row of one, mixed",
            b'{"instances": [1, {"x": 1}]}',
            "Expecting value/list but got object at item 1",
        ),
        rule(
            "2.3 row of one, mixed the other way",
            b'{"instances": [{"x": 1}, 1]}',
            "Expecting object but got list at item 1",
        ),
        rule("2.3 no rows", b'{"instances": []}', "No values in 'instances' array"),
        rule("2.3 rows no list", b'{"instances": {"x": 1}}', "to be an list"),
        rule(
            "2.3 sizes of rows",
            b'{"instances": [[1, 2], [3]]}',
            "Expecting tensor size: 2 but got: 1",
        ),
        rule(
            "2.3 shapes of rows",
            b'{"instances": [[1, 2], [[3, 4]]]}',
            "Expecting shape [2] but got: [1,2]",
        ),
        rule("2.3 ragged", b'{"inputs": [[1, 2], [3]]}', "unexpected size: 1"),
        rule("2.3 levels", b'{"inputs": [1, [2]]}', "unexpected level"),
        rule("2.3 null", b'{"inputs": [null]}', "Type: Null is not of expected type"),
        rule(
            "2.3 row of two, bare",
            b'{"signature_name": "two", "instances": [1]}',
            "expecting list of objects",
        ),
        rule(
            "2.3 row of two, key missing",
            b'{"signature_name": "two", "instances": [{"a": [1]}]}',
            "keys must be equal to: a,b",
        ),
        rule(
            "2.3 row of two, key too many",
            b'{"signature_name": "two", "instances": [{"a": [1], "b": "", "c": 1}]}',
            "keys must be equal to: a,b",
        ),
        rule(
            "2.3 columns of two, bare",
            b'{"signature_name": "two", "inputs": [1]}',
            "expecting an object as multiple",
        ),
        rule(
            "2.3 column missing",
            b'{"signature_name": "two", "inputs": {"a": [1]}}',
            "Missing named input: b in 'inputs' object.",
        ),
        rule(
            "2.4 rank 0 in rows",
            b'{"signature_name": "scalar", "instances": [1, 2]}',
            "has no shape information",
        ),
        rule(
            "2.4 uneven rows",
            b'{"signature_name": "uneven", "instances": [1, 2]}',
            "inconsistent batch size",
        ),
        rule(
            "3.1 what the graph refuses",
            b'{"signature_name": "picky", "inputs": [7]}',
            "indices[0] = 7 is not in [0, 2)",
        ),
    ],
)
def test_what_is_refused(conforming, body, message):
    code, answer = predict(conforming, body)
    assert code == 400 and message in answer["error"]


@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        rule("2.2 version first", f"{HALF}/versions/{2**63}", b"{", 400, "convert"),
        rule("2.2 JSON before model", "/v1/models/x", b"{", 400, "JSON Parse error"),
        rule(
            "2.2 signature type before model",
            "/v1/models/x",
            b'{"signature_name": 1}',
            400,
            "must be a string",
        ),
        rule("2.2 model before format", "/v1/models/x", b"{}", 404, "Latest(x)"),
        rule("2.2 label before format", f"{HALF}/labels/x", b"{}", 400, "label: x"),
        rule(
            "2.2 signature before inputs",
            HALF,
            b'{"signature_name": "x", "inputs": "y"}',
            400,
            '"x" not found',
        ),
    ],
)
def test_2_2_order_of_checks(conforming, path, body, code, message):
    found, _, text = ask(conforming, "POST", f"{path}:predict", body)
    assert found == code and message in json.loads(text)["error"]


INF = math.inf


@pytest.mark.parametrize(
    ("dtype", "tokens", "expected"),
    [
        rule("2.3 float32", "float32", "[1, 1.5, 1e2, -0.0]", [1.0, 1.5, 100.0, 0.0]),
        rule("2.3 overflow of float32", "float32", "[1e39, -1e39]", [INF, -INF]),
        rule("2.3 underflow of float32", "float32", "[1e-60]", [0.0]),
        rule("2.3 special floats", "float64", "[Infinity, -Infinity]", [INF, -INF]),
        rule("2.3 scalar", "int32", "7", 7),
        rule("2.3 any rank", "int32", "[[[1], [2]]]", [[[1], [2]]]),
        rule("2.3 empty", "int64", "[]", []),
        rule("2.3 zero-size", "int64", "[[], []]", [[], []]),
        rule("2.3 int32", "int32", f"[{-(2**31)}, {2**31 - 1}]", [-(2**31), 2**31 - 1]),
        rule("2.3 int64", "int64", f"[{-(2**63)}, {LARGEST}]", [-(2**63), LARGEST]),
        rule("2.3 uint32", "uint32", f"[0, {2**32 - 1}]", [0, 2**32 - 1]),
        rule("2.3 uint64", "uint64", f"[0, {2**64 - 1}]", [0, 2**64 - 1]),
        rule("2.3 int8 wraps", "int8", "[300, -129]", [44, 127]),
        rule("2.3 uint8 wraps", "uint8", "[300, -1]", [44, 255]),
        rule("2.3 int16 wraps", "int16", "[65537]", [1]),
        rule("2.3 bool", "bool", "[true, false]", [True, False]),
        rule("2.3 string", "string", r'["\u00e9", ""]', ["é", ""]),
        rule("2.3 base64", "string", '[{"b64": "aGk="}, "hi"]', ["hi", "hi"]),
        rule("2.3 base64 alone", "string", '{"b64": "aGk="}', "hi"),
        rule("2.3 base64 without padding", "string", '[{"b64": "aGk"}]', ["hi"]),
        rule("2.3 base64 with spaces", "string", r'[{"b64": "aG k\n="}]', ["hi"]),
    ],
)
def test_values(conforming, dtype, tokens, expected):
    body = f'{{"signature_name": "{dtype}", "inputs": {tokens}}}'.encode()
    assert predict(conforming, body) == (200, {"outputs": expected})


def test_2_3_an_input_named_b64_is_unreachable_by_name(conforming):
    document = {"signature_name": "named_b64", "inputs": {"b64": "aGk="}}
    assert predict(conforming, document) == (200, {"outputs": "hi"})


@pytest.mark.parametrize("token", ["NaN", "[NaN]"])
def test_2_3_nan_is_a_number(conforming, token):
    body = f'{{"signature_name": "float32", "inputs": {token}}}'.encode()
    code, answer = predict(conforming, body)
    assert code == 200 and "nan" in str(answer["outputs"])


@pytest.mark.parametrize(
    ("dtype", "token", "message"),
    [
        rule("2.3 int as float", "int64", "1.0", "1.0 Type: Number is not of expected"),
        rule("2.3 int with exponent", "int32", "1e2", "Type: Number"),
        rule("2.3 int as bool", "int32", "true", "Type: True"),
        rule("2.3 int as string", "int64", '"1"', "Type: String"),
        rule("2.3 beyond int32", "int32", str(2**31), "Type: Number"),
        rule("2.3 beyond int64", "int64", str(2**63), "Type: Number"),
        rule("2.3 beyond uint32", "uint32", str(2**32), "Type: Number"),
        rule("2.3 beyond uint64", "uint64", str(2**64), "Type: Number"),
        rule("2.3 negative uint32", "uint32", "-1", "Type: Number"),
        rule("2.3 negative uint64", "uint64", "-1", "Type: Number"),
        rule("2.3 quoted NaN", "float32", '"NaN"', "of expected type: float"),
        rule("2.3 lower-case nan", "float32", "nan", "JSON Parse error"),
        rule("2.3 lower-case infinity", "float32", "infinity", "JSON Parse error"),
        rule("2.3 float as bool", "float64", "false", "of expected type: double"),
        rule("2.3 bool as int", "bool", "1", "Type: Number is not of expected"),
        rule("2.3 null string", "string", "null", "null Type: Null"),
        rule("2.3 string as number", "string", "1", "Type: Number"),
        rule("2.3 url-safe base64", "string", '{"b64": "_-8="}', "base64 decode"),
        rule("2.3 b64 not alone", "string", '[{"b64": "aGk=", "x": 1}]', "base64 data"),
        rule("2.3 b64 of a number", "string", '[{"b64": 1}]', "base64 data"),
        rule("2.3 b64 of an int", "int32", '[{"b64": "aGk="}]', "Type: Object"),
    ],
)
def test_refused_values(conforming, dtype, token, message):
    body = f'{{"signature_name": "{dtype}", "inputs": {token}}}'.encode()
    code, answer = predict(conforming, body)
    assert code == 400 and message in answer["error"]


@pytest.mark.parametrize("dtype", ["uint16", "float16", "bfloat16"])
def test_2_3_types_that_json_has_not(conforming, dtype):
    body = {"signature_name": dtype, "inputs": [1]}
    code, answer = predict(conforming, body)
    assert code == 501 and dtype in answer["error"]
    body = {"signature_name": dtype, "instances": [1]}
    code, answer = predict(conforming, body)
    assert code == 400 and "Failed to process element: 0" in answer["error"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        rule("2.4 rows", {"instances": [2, 4]}, {"predictions": [3.0, 4.0]}),
        rule("2.3 rows as objects", {"instances": [{"x": 2}]}, {"predictions": [3.0]}),
        rule(
            "2.3 rows get a new axis",
            {"instances": [[[2]], [[4]]]},
            {"predictions": [[[3.0]], [[4.0]]]},
        ),
        rule("2.3 rows of nothing", {"instances": [[], []]}, {"predictions": [[], []]}),
        rule(
            "2.4 rows of several outputs",
            {
                "signature_name": "two",
                "instances": [
                    {"a": [1, 2], "b": "x"},
                    {"b": {"b64": "eQ"}, "a": [3, 4]},
                ],
            },
            {
                "predictions": [
                    {"sum": 3.0, "text": "x", "text_bytes": {"b64": "eA=="}},
                    {"sum": 7.0, "text": "y", "text_bytes": {"b64": "eQ=="}},
                ]
            },
        ),
        rule(
            "2.4 columns of several outputs",
            {"signature_name": "two", "inputs": {"a": [1, 2], "b": ["x"]}},
            {"outputs": {"sum": 3.0, "text": ["x"], "text_bytes": [{"b64": "eA=="}]}},
        ),
        rule(
            "2.4 columns may differ in size",
            {"signature_name": "uneven", "inputs": [1, 2]},
            {"outputs": {"y": [1.0, 2.0], "z": [1.0]}},
        ),
        rule(
            "2.4 columns of rank 0",
            {"signature_name": "scalar", "inputs": [1, 2]},
            {"outputs": 3.0},
        ),
        rule(
            "1.4 shapes are not checked",
            {"inputs": [[[2]]]},
            {"outputs": [[[3.0]]]},
        ),
    ],
)
def test_formats(conforming, document, expected):
    assert predict(conforming, document) == (200, expected)


@pytest.mark.parametrize(
    ("dtype", "token", "text"),
    [
        rule("2.4 six digits", "float32", "0.1", "0.1"),
        rule("2.4 nine digits", "float32", "0.3333333432674408", "0.333333343"),
        rule("2.4 a whole float", "float32", "3", "3.0"),
        rule("2.4 a large float", "float32", "9000000", "9e+06"),
        rule("2.4 a small float", "float32", "0.00003", "3e-05"),
        rule("2.4 minus zero", "float32", "-0.0", "-0.0"),
        rule("2.4 17 digits", "float64", "0.1234567890123", "0.12345678901230001"),
        rule("2.4 six digits of a double", "float64", "0.5", "0.5"),
        rule("2.4 NaN", "float32", "NaN", "NaN"),
        rule("2.4 Infinity", "float32", "Infinity", "Infinity"),
        rule("2.4 minus Infinity", "float64", "-Infinity", "-Infinity"),
        rule("2.4 int", "int64", "3", "3"),
        rule("2.4 raw bytes", "string", '{"b64": "/w=="}', b'"\xff"'),
    ],
)
def test_digits_of_answers(conforming, dtype, token, text):
    body = f'{{"signature_name": "{dtype}", "inputs": {token}}}'.encode()
    code, _, answer = ask(conforming, "POST", "/v1/models/small:predict", body)
    text = text if isinstance(text, bytes) else text.encode()
    assert (code, answer) == (200, b'{"outputs": ' + text + b"}")


@pytest.mark.parametrize("place", ["", "/versions/1", "/labels/stable", "/labels/none"])
def test_2_6_status(conforming, place):
    """A version is picked; labels are ignored, even unknown ones."""
    code, kind, body = ask(conforming, "GET", f"{HALF}{place}")
    assert (code, kind) == (200, "application/json")
    versions = [1] if "versions" in place else [LARGEST, 1]
    ok = {"error_code": "OK", "error_message": ""}
    assert json.loads(body) == {
        "model_version_status": [
            {"version": str(version), "state": "AVAILABLE", "status": ok}
            for version in versions
        ]
    }


@pytest.mark.parametrize(
    ("place", "version"),
    [("", LARGEST), ("/versions/1", 1), ("/labels/stable", 1)],
)
def test_2_6_metadata(conforming, place, version):
    code, _, body = ask(conforming, "GET", f"{HALF}{place}/metadata")
    document = json.loads(body)
    assert code == 200 and document["model_spec"] == {
        "name": "half",
        "signature_name": "",
        "version": str(version),
    }
    signatures = document["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"serving_default", "__saved_model_init_op"}
    default = signatures["serving_default"]
    assert default["defaults"] == {}
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert default["inputs"]["x"]["tensor_shape"] == {"dim": [], "unknown_rank": True}


def test_2_6_sizes_are_strings(conforming):
    body = ask(conforming, "GET", "/v1/models/small/metadata")[2]
    signatures = json.loads(body)["metadata"]["signature_def"]["signature_def"]
    shape = signatures["nothing"]["outputs"]["y"]["tensor_shape"]
    assert shape == {"dim": [{"size": "1", "name": ""}], "unknown_rank": False}
