import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


def predict_request(toy, **spec):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "ranker"
    for name, value in spec.items():
        setattr(request.model_spec, name, value)
    for name, value in toy.request().items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


@pytest.fixture(scope="session")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as opened:
        yield opened


def test_grpc_predict(toy, channel, expected):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_request(toy, signature_name="rank")
    request.output_filter.append("score")
    response = stub.Predict(request)
    assert response.model_spec.version.value == 1 and list(response.outputs) == [
        "score"
    ]
    score = tf.make_ndarray(response.outputs["score"])
    np.testing.assert_allclose(score, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda r: setattr(r.model_spec, "name", ""), "INVALID_ARGUMENT", "ModelSpec"),
        (lambda r: setattr(r.model_spec, "name", "x"), "NOT_FOUND", "not found"),
        (
            lambda r: setattr(r.model_spec, "signature_name", "x"),
            "FAILED_PRECONDITION",
            "not found",
        ),
        (lambda r: r.inputs.pop("n_items"), "INVALID_ARGUMENT", "required: {n_items}"),
        (
            lambda r: r.inputs["n_items"].CopyFrom(tf.make_tensor_proto([1.0])),
            "INVALID_ARGUMENT",
            "int32 but float is provided",
        ),
        (lambda r: r.output_filter.append("x"), "INVALID_ARGUMENT", "alias"),
    ],
)
def test_grpc_errors(toy, channel, change, code, message):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_request(toy)
    change(request)
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(request)
    assert error.value.code().name == code
    assert message in error.value.details()


def test_grpc_status_and_metadata(channel):
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "ranker"
    found = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status)
    assert [(v.version, v.state) for v in found.model_version_status] == [(1, 30)]
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "ranker"
    request.metadata_field.append("signature_def")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = stub.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    assert "rank" in signatures.signature_def
