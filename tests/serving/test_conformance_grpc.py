"""TensorFlow Serving's gRPC rules, each asked of a running server."""

import socket

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving import conformance
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

from tfmm.serving import ModelConfig, Server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    base = tmp_path_factory.mktemp("rules")
    for version in ("7", "12"):
        conformance.save(base / version)
    config = ModelConfig("rules", base, latest=0, labels={"stable": 7})
    with Server({"rules": config}, rest_api_port=0, grpc_port=free_port()) as server:
        yield grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def request(signature="", name="rules", filtered=(), **inputs):
    found = predict_pb2.PredictRequest(output_filter=filtered)
    found.model_spec.name = name
    found.model_spec.signature_name = signature
    for key, value in inputs.items():
        found.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return found


def refused(call, message):
    with pytest.raises(grpc.RpcError) as error:
        call(message)
    return error.value.code().name, error.value.details()


def test_an_answer_names_what_gave_it(stub):
    answer = stub.Predict(request(x=np.float32([1, 2])))
    assert tf.make_ndarray(answer.outputs["y"]).tolist() == [2.5, 3.0]
    assert answer.model_spec.name == "rules"
    assert answer.model_spec.version.value == 12
    assert answer.model_spec.signature_name == "serving_default"


def test_versions_and_labels(stub):
    asked = request(x=np.float32([1]))
    asked.model_spec.version.value = 7
    assert stub.Predict(asked).model_spec.version.value == 7
    asked.model_spec.version_label = "stable"
    assert stub.Predict(asked).model_spec.version.value == 7
    asked.model_spec.version_label = "nobody"
    assert refused(stub.Predict, asked)[0] == "INVALID_ARGUMENT"
    asked.model_spec.version.value = 8
    assert refused(stub.Predict, asked)[0] == "NOT_FOUND"


def test_shapes_are_not_checked(stub):
    for value in (1.0, [[1.0]], [[[1.0], [2.0]]], np.zeros((0, 3))):
        answer = stub.Predict(request("floats", x=np.array(value, np.float32)))
        assert tf.make_ndarray(answer.outputs["x"]).shape == np.shape(value)


def test_too_few_values_are_filled_with_the_last(stub):
    asked = request("floats")
    proto = asked.inputs["x"]
    proto.dtype = tf.float32.as_datatype_enum
    proto.tensor_shape.dim.add(size=3)
    proto.float_val.extend([1.0, 2.0])
    answer = stub.Predict(asked)
    assert tf.make_ndarray(answer.outputs["x"]).tolist() == [1, 2, 2]


def test_outputs_may_be_filtered(stub):
    value = {"x": np.float32([1, 2])}
    assert list(stub.Predict(request("uneven", filtered=["z"], **value)).outputs) == [
        "z"
    ]
    for wanted in (["nobody"], ["z", "z"]):
        asked = request("uneven", filtered=wanted, **value)
        assert refused(stub.Predict, asked)[0] == "INVALID_ARGUMENT"


def test_halves_travel(stub):
    answer = stub.Predict(request("halves", x=np.float32([1])))
    assert tf.make_ndarray(answer.outputs["y"]).dtype == np.float16


def damaged():
    asked = request("floats")
    asked.inputs["x"].dtype = tf.float32.as_datatype_enum
    asked.inputs["x"].tensor_shape.dim.add(size=2)
    asked.inputs["x"].tensor_content = b"abc"
    return asked


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        (lambda: predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "ModelSpec"),
        (lambda: request(name="nobody"), "NOT_FOUND", "Servable not found"),
        (lambda: request("nobody"), "FAILED_PRECONDITION", '"nobody" not found'),
        (
            lambda: request("two", a=np.float32([1]), c=np.float32([1])),
            "INVALID_ARGUMENT",
            "Sent extra: {c}. Missing but required: {b}",
        ),
        (lambda: request("floats", x=[1]), "INVALID_ARGUMENT", "to be float"),
        (lambda: request("row", x=np.float32([9])), "INVALID_ARGUMENT", "is not in"),
        (damaged, "INVALID_ARGUMENT", "tensor proto"),
    ],
)
def test_refusals(stub, asked, code, message):
    found, details = refused(stub.Predict, asked())
    assert found == code and message in details


def test_long_messages_are_cut(stub):
    found = refused(stub.Predict, request("two", **{"c" * 3000: np.float32([1])}))[1]
    assert len(found) <= 1024 + len("...TRUNCATED") and found.endswith("...TRUNCATED")


def test_metadata(stub):
    asked = get_model_metadata_pb2.GetModelMetadataRequest(
        metadata_field=["signature_def"]
    )
    asked.model_spec.name = "rules"
    answer = stub.GetModelMetadata(asked)
    assert answer.model_spec.version.value == 12
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    assert found.signature_def["two"].inputs["b"].dtype == tf.string.as_datatype_enum
    del asked.metadata_field[:]
    assert refused(stub.GetModelMetadata, asked)[0] == "INVALID_ARGUMENT"


def test_status(models):
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "rules"
    found = models.GetModelStatus(asked).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(s.version, s.state) for s in found] == [(12, available), (7, available)]
    asked.model_spec.version.value = 7
    assert len(models.GetModelStatus(asked).model_version_status) == 1
    asked.model_spec.name = "nobody"
    assert refused(models.GetModelStatus, asked)[0] == "NOT_FOUND"


def test_what_is_left_out_names_the_real_server(stub, models):
    calls = [
        (stub.Classify, classification_pb2.ClassificationRequest()),
        (stub.Regress, regression_pb2.RegressionRequest()),
        (stub.MultiInference, inference_pb2.MultiInferenceRequest()),
        (models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    ]
    for call, asked in calls:
        code, message = refused(call, asked)
        assert code == "UNIMPLEMENTED" and "TensorFlow Serving has" in message
