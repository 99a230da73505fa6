"""The client's calls over gRPC, with the messages of tensorflow-serving-api."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf import json_format

from tfmm.serving.client_calls import Answer, SignatureInfo, Target, TensorInfo
from tfmm.serving.client_errors import ServerError, server_error
from tfmm.serving.client_messages import without_tensorflow
from tfmm.serving.client_tensors import dtype_name, to_array, to_proto
from tfmm.serving.status import HTTP_CODES

with without_tensorflow():
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

_FIELD = "signature_def"
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that starts again is found by the next repetition, not seconds later.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
# How gRPC says that nobody answered; a server's own UNAVAILABLE is one of its words.
_NOBODY = ("failed to connect", "DNS resolution", "Socket closed", "onnection reset")


class GrpcTransport:
    """TF Serving's PredictionService and ModelService, without encryption.

    Args:
        address: `host:port`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None

    def predict(
        self,
        target: Target,
        signature: str,
        info: SignatureInfo,
        inputs: Mapping[str, Any],
        only: Sequence[str],
        timeout: float,
    ) -> Answer:
        """Runs a signature; only the outputs wanted travel."""
        request = predict_pb2.PredictRequest(output_filter=only)
        _fill(request.model_spec, target)
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            proto = to_proto(value, info.inputs[name].dtype, name)
            request.inputs[name].CopyFrom(proto)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(self._open())
        answer = self._call(stub.Predict, request, timeout)
        outputs = {name: to_array(p, name) for name, p in answer.outputs.items()}
        return Answer(outputs, answer.model_spec.version.value)

    def signatures(self, target: Target, timeout: float) -> dict[str, SignatureInfo]:
        """The model's signatures."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            metadata_field=[_FIELD]
        )
        _fill(request.model_spec, target)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(self._open())
        answer = self._call(stub.GetModelMetadata, request, timeout)
        found = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata[_FIELD].Unpack(found)
        return {
            name: SignatureInfo(_infos(s.inputs), _infos(s.outputs))
            for name, s in found.signature_def.items()
            if not name.startswith("__")
        }

    def status(self, target: Target, timeout: float) -> list[dict[str, Any]]:
        """States of versions, as REST gives them."""
        request = get_model_status_pb2.GetModelStatusRequest()
        _fill(request.model_spec, target)
        stub = model_service_pb2_grpc.ModelServiceStub(self._open())
        answer = self._call(stub.GetModelStatus, request, timeout)
        return json_format.MessageToDict(
            answer,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )["model_version_status"]

    def close(self) -> None:
        """Closes the channel; the next call opens another."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = None

    def _open(self) -> grpc.Channel:
        """The channel, made by the first call: it does not survive a fork."""
        with self._lock:
            if self._channel is None:
                self._channel = grpc.insecure_channel(self._address, _OPTIONS)
            return self._channel

    def _call(self, method: Any, request: Any, timeout: float) -> Any:
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise self._error(error, timeout) from error

    def _error(self, error: Any, timeout: float) -> ServerError:
        name, message = error.code().name, error.details() or error.code().name
        server = f"grpc://{self._address}"
        if name == "UNAVAILABLE" and any(words in message for words in _NOBODY):
            return server_error(
                0, f"No server answers at {server} ({message}). Start `tfmm serve`."
            )
        if name == "DEADLINE_EXCEEDED":
            message = f"{server} did not answer within {timeout:.1f} seconds."
        return server_error(HTTP_CODES.get(name, 500), message)


def _fill(spec: Any, target: Target) -> None:
    spec.name = target.model
    if target.label is not None:
        spec.version_label = target.label
    elif target.version is not None:
        spec.version.value = target.version


def _infos(found: Mapping[str, Any]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(dtype_name(info.dtype), len(info.tensor_shape.dim))
        for name, info in found.items()
    }
