"""The client's calls over gRPC, with the messages of tensorflow-serving-api."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfmm.serving.client_calls import Answer, SignatureInfo, Target, TensorInfo
from tfmm.serving.client_errors import ServerError, server_error
from tfmm.serving.status import HTTP_CODES
from tfmm.serving.tensor_protos import to_array, to_proto

_FIELD = "signature_def"


class GrpcTransport:
    """TF Serving's PredictionService and ModelService, without encryption.

    Args:
        address: `host:port`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        unlimited = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ]
        self._channel = grpc.insecure_channel(address, unlimited)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

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
            known = info.inputs.get(name)
            dtype = None if known is None else _dtype(known.dtype)
            request.inputs[name].CopyFrom(to_proto(value, dtype))
        answer = self._call(self._prediction.Predict, request, timeout)
        outputs = {name: _array(proto) for name, proto in answer.outputs.items()}
        return Answer(outputs, answer.model_spec.version.value)

    def signatures(self, target: Target, timeout: float) -> dict[str, SignatureInfo]:
        """The model's signatures."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            metadata_field=[_FIELD]
        )
        _fill(request.model_spec, target)
        answer = self._call(self._prediction.GetModelMetadata, request, timeout)
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
        answer = self._call(self._models.GetModelStatus, request, timeout)
        return json_format.MessageToDict(
            answer,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )["model_version_status"]

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _call(self, method: Any, request: Any, timeout: float) -> Any:
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise self._error(error) from error

    def _error(self, error: Any) -> ServerError:
        name, message = error.code().name, error.details() or error.code().name
        if name == "UNAVAILABLE" and "Servable" not in message:
            message = f"No server answers at grpc://{self._address} ({message})."
            return server_error(0, f"{message} Start `tfmm serve`.")
        return server_error(HTTP_CODES.get(name, 500), message)


def _fill(spec: Any, target: Target) -> None:
    spec.name = target.model
    if target.label is not None:
        spec.version_label = target.label
    elif target.version is not None:
        spec.version.value = target.version


def _infos(found: Mapping[str, Any]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(types_pb2.DataType.Name(i.dtype), len(i.tensor_shape.dim))
        for name, i in found.items()
    }


def _dtype(name: str) -> tf.DType:
    return tf.as_dtype(types_pb2.DataType.Value(name))


def _array(proto: Any) -> np.ndarray:
    array = to_array(proto)
    if array.dtype != object:
        return array
    texts = np.empty(array.size, object)
    texts[:] = [_text(value) for value in array.flat]
    return texts.reshape(array.shape)


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
