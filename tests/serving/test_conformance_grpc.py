"""TF Serving's gRPC rules, one case each; ids begin with the spec's section."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving.small_models import LARGEST
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

X = {"x": np.float32([2])}
AB = {"a": np.float32([1, 2]), "b": np.array([b"s"], object)}


def rule(section, *values):
    return pytest.param(*values, id=section.replace(" ", "-"))


@pytest.fixture(scope="session")
def channel(conforming):
    with grpc.insecure_channel(f"127.0.0.1:{conforming.grpc_port}") as opened:
        yield opened


@pytest.fixture(scope="session")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def models(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def request_of(inputs, model="small", signature="", version=None, label="", only=()):
    request = predict_pb2.PredictRequest(output_filter=only)
    spec = request.model_spec
    spec.name, spec.signature_name = model, signature
    if version is not None:
        spec.version.value = version
    if label:
        spec.version_label = label
    for name, value in inputs.items():
        proto = value if hasattr(value, "tensor_shape") else tf.make_tensor_proto(value)
        request.inputs[name].CopyFrom(proto)
    return request


def refusal(call, request):
    with pytest.raises(grpc.RpcError) as error:
        call(request)
    return error.value.code().name, error.value.details()


@pytest.mark.parametrize(
    ("which", "version", "expected"),
    [
        rule("3.1 highest version", {}, LARGEST, 4),
        rule("3.1 version", {"version": 1}, 1, 3),
        rule("3.1 label", {"label": "stable"}, 1, 3),
        rule("3.1 label with a slash", {"label": "a/b"}, LARGEST, 4),
    ],
)
def test_3_1_predict(prediction, which, version, expected):
    """The answer repeats the name, the resolved version and the signature."""
    answer = prediction.Predict(request_of(X, "half", **which))
    spec = answer.model_spec
    assert (spec.name, spec.version.value) == ("half", version)
    assert spec.signature_name == "serving_default"
    assert answer.outputs["y"].float_val == [expected]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        rule("3.1 no filter", (), {"sum", "text", "text_bytes"}),
        rule("3.1 output filter", ("text", "sum"), {"sum", "text"}),
    ],
)
def test_output_filter(prediction, only, expected):
    answer = prediction.Predict(request_of(AB, signature="two", only=only))
    assert set(answer.outputs) == expected
    assert answer.model_spec.signature_name == "two"


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        *((dtype, [1, 2]) for dtype in ("float32", "float64", "float16", "bfloat16")),
        *((dtype, [-1, 2]) for dtype in ("int8", "int16", "int32", "int64")),
        *((dtype, [1, 2]) for dtype in ("uint8", "uint16", "uint32", "uint64")),
        ("bool", [True, False]),
        ("string", [b"\xff", b""]),
        ("string", b"scalar"),
        ("int64", [[[2**63 - 1]]]),
        ("float32", np.nan),
        ("float32", np.zeros((0, 3))),
    ],
)
def test_3_1_tensors_of_every_type(prediction, dtype, value):
    sent = tf.constant(value, dtype).numpy()
    answer = prediction.Predict(request_of({"x": sent}, signature=dtype)).outputs["y"]
    assert answer.dtype == tf.as_dtype(dtype).as_datatype_enum
    np.testing.assert_array_equal(tf.make_ndarray(answer), sent)


def test_3_1_answers_are_in_the_typed_fields(prediction):
    answer = prediction.Predict(request_of(AB, signature="two")).outputs
    assert answer["sum"].float_val == [3] and not answer["sum"].tensor_content
    assert answer["text"].string_val == [b"s"]


def test_1_4_shapes_are_not_checked(prediction):
    sent = {"x": np.zeros((2, 1, 2), np.float32)}
    shape = prediction.Predict(request_of(sent)).outputs["y"].tensor_shape
    assert [d.size for d in shape.dim] == [2, 1, 2]


@pytest.mark.parametrize(
    ("dtype", "field", "values", "expected"),
    [
        rule("3.1 floats", "float32", "float_val", [1, 2], [1, 2, 2, 2]),
        rule("3.1 one for all", "int64", "int64_val", [7], [7, 7, 7, 7]),
        rule("3.1 strings", "string", "string_val", [b"a", b"b"], [b"a"] + [b"b"] * 3),
    ],
)
def test_3_1_the_last_value_fills_up(prediction, dtype, field, values, expected):
    proto = tf.make_tensor_proto([], dtype, shape=(0,))
    proto.tensor_shape.dim[0].size = 4
    getattr(proto, field).extend(values)
    answer = prediction.Predict(request_of({"x": proto}, signature=dtype))
    assert tf.make_ndarray(answer.outputs["y"]).tolist() == expected


def proto(dtype, *sizes):
    found = tf.make_tensor_proto([], "float32", shape=(0,))
    found.dtype = dtype
    found.ClearField("tensor_shape")
    for size in sizes:
        found.tensor_shape.dim.add(size=size)
    return found


INVALID = "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        rule("3.1 no spec", predict_pb2.PredictRequest(), INVALID, "Missing ModelSpec"),
        rule("3.1 empty name", request_of(X, ""), INVALID, "no name"),
        rule("3.1 unknown model", request_of(X, "x"), "NOT_FOUND", "Latest(x)"),
        rule(
            "3.1 unknown version",
            request_of(X, "half", version=9),
            "NOT_FOUND",
            "Servable not found for request: Specific(half, 9)",
        ),
        rule(
            "3.1 unknown label",
            request_of(X, "half", label="x"),
            INVALID,
            "Unrecognized servable version label: x",
        ),
        rule(
            "3.1 unknown signature",
            request_of(X, signature="x"),
            "FAILED_PRECONDITION",
            'Serving signature key "x" not found.',
        ),
        rule(
            "3.1 extra and missing inputs",
            request_of({**X, "a": AB["a"]}, signature="two"),
            INVALID,
            "Sent extra: {x}. Missing but required: {b}.",
        ),
        rule(
            "3.1 too few inputs",
            request_of({"a": AB["a"]}, signature="two"),
            INVALID,
            "input size does not match signature: 1!=2 len({a}) != len({a,b})",
        ),
        rule(
            "3.1 names before the filter",
            request_of({}, only=("z",)),
            INVALID,
            "Missing but required: {x}",
        ),
        rule(
            "3.1 unknown output",
            request_of(AB, signature="two", only=("z",)),
            INVALID,
            "output tensor alias not found in signature: z Outputs expected to be in "
            "the set {sum,text,text_bytes}.",
        ),
        rule(
            "3.1 output twice",
            request_of(AB, signature="two", only=("sum", "sum")),
            INVALID,
            "duplicate output tensor alias: sum",
        ),
        rule(
            "3.1 wrong dtype",
            request_of({"x": np.int32([1])}),
            INVALID,
            "Expects arg[0] to be float but int32 is provided",
        ),
        rule(
            "3.1 wrong dtype of a string",
            request_of({**AB, "b": np.float32([1])}, signature="two"),
            INVALID,
            "Expects arg[1] to be string but float is provided",
        ),
        rule("3.1 no dtype", request_of({"x": proto(0, 1)}), INVALID, "but invalid is"),
        rule("3.1 odd dtype", request_of({"x": proto(99, 1)}), INVALID, "but 99 is"),
        rule("3.1 negative size", request_of({"x": proto(1, -2)}), INVALID, "parse"),
        rule("3.1 huge shape", request_of({"x": proto(1, 2**40)}), INVALID, "longer"),
        rule(
            "3.1 what the graph refuses",
            request_of({"x": np.int32([7])}, signature="picky"),
            INVALID,
            "indices[0] = 7 is not in [0, 2)",
        ),
    ],
)
def test_refused_predictions(prediction, request_, code, message):
    found, details = refusal(prediction.Predict, request_)
    assert found == code and message in details


def test_3_1_long_messages_are_cut(prediction):
    details = refusal(prediction.Predict, request_of(X, signature="x" * 2000))[1]
    assert len(details) == 1024 + len("...TRUNCATED")
    assert details.endswith("x...TRUNCATED")


def metadata_request(*fields, **spec):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = spec.pop("name", "half")
    for name, value in spec.items():
        setattr(request.model_spec, name, value)
    return request


def test_3_1_metadata(prediction):
    request = metadata_request("signature_def", version_label="stable")
    answer = prediction.GetModelMetadata(request)
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half", 1, "")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    assert default.inputs["x"].dtype == tf.float32.as_datatype_enum


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        rule(
            "3.1 metadata without a spec",
            get_model_metadata_pb2.GetModelMetadataRequest(
                metadata_field=["signature_def"]
            ),
            INVALID,
            "Missing ModelSpec",
        ),
        rule("3.1 no field", metadata_request(), INVALID, "at least one"),
        rule("3.1 other field", metadata_request("x"), INVALID, "x is not supported"),
        rule(
            "3.1 metadata of an unknown model",
            metadata_request("signature_def", name="x"),
            "NOT_FOUND",
            "Latest(x)",
        ),
    ],
)
def test_refused_metadata(prediction, request_, code, message):
    found, details = refusal(prediction.GetModelMetadata, request_)
    assert found == code and message in details


def status_request(name="half", version=None, label=""):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    return request


@pytest.mark.parametrize(
    ("request_", "versions"),
    [
        rule("3.1 status of all", status_request(), [LARGEST, 1]),
        rule("3.1 status of one", status_request(version=1), [1]),
        rule("2.6 status ignores labels", status_request(label="x"), [LARGEST, 1]),
    ],
)
def test_status(models, request_, versions):
    found = models.GetModelStatus(request_).model_version_status
    assert [version.version for version in found] == versions
    assert {version.State.Name(version.state) for version in found} == {"AVAILABLE"}
    assert {version.status.error_code for version in found} == {0}


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        rule(
            "3.1 status without a spec",
            get_model_status_pb2.GetModelStatusRequest(),
            INVALID,
            "Missing ModelSpec",
        ),
        rule("3.1 status of none", status_request("x"), "NOT_FOUND", "of model x"),
        rule(
            "3.1 status of no version",
            status_request(version=9),
            "NOT_FOUND",
            "Could not find version 9 of model half",
        ),
    ],
)
def test_refused_status(models, request_, code, message):
    found, details = refusal(models.GetModelStatus, request_)
    assert found == code and message in details


@pytest.mark.parametrize(
    ("service", "method", "request_"),
    [
        ("PredictionService", "Classify", classification_pb2.ClassificationRequest()),
        ("PredictionService", "Regress", regression_pb2.RegressionRequest()),
        ("PredictionService", "MultiInference", inference_pb2.MultiInferenceRequest()),
        ("PredictionService", "PredictStreamed", predict_pb2.PredictRequest()),
        ("SessionService", "SessionRun", predict_pb2.PredictRequest()),
        (
            "ModelService",
            "HandleReloadConfigRequest",
            model_management_pb2.ReloadConfigRequest(),
        ),
    ],
)
def test_3_1_what_is_left_out_names_the_real_server(channel, service, method, request_):
    path = f"/tensorflow.serving.{service}/{method}"
    call = channel.unary_unary(path, lambda message: message.SerializeToString())
    code, details = refusal(call, request_)
    assert code == "UNIMPLEMENTED" and "tensorflow_model_server" in details
    assert method in details


def test_3_1_a_stream_is_refused_too(channel):
    path = "/tensorflow.serving.PredictionService/PredictStreamed"
    call = channel.stream_stream(path, lambda message: message.SerializeToString())
    with pytest.raises(grpc.RpcError) as error:
        list(call(iter([predict_pb2.PredictRequest()])))
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_3_1_requests_beyond_four_megabytes_are_taken(prediction):
    sent = {"x": np.zeros(2_000_000, np.float32)}
    code, _ = refusal(prediction.Predict, request_of(sent))
    # It is the client that keeps gRPC's bound for what it receives.
    assert code == "RESOURCE_EXHAUSTED"
    answer = prediction.Predict(request_of(sent, signature="scalar"))
    assert answer.outputs["y"].float_val == [0]


def test_3_1_deadline(prediction):
    request = request_of({"steps": np.int32([40])}, signature="spin")
    with pytest.raises(grpc.RpcError) as error:
        prediction.Predict(request, timeout=0.05)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
