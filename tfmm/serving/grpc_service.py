"""TF Serving's gRPC services: Predict, GetModelMetadata and GetModelStatus."""

from concurrent import futures
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfmm.errors import TfmmError
from tfmm.serving.json_tensor import DEFAULT_SIGNATURE
from tfmm.serving.loader import LoadedModel
from tfmm.serving.status import StatusError, invalid
from tfmm.serving.tensor_protos import to_array, to_proto
from tfmm.serving.versions import ModelManager

METADATA_FIELD = "signature_def"
_MAX_MESSAGE = 1024
_THREADS = 8


def grpc_server(address: tuple[str, int], manager: ModelManager) -> tuple[Any, int]:
    """A gRPC server, not yet started, and the port it is bound to.

    Args:
        address: Host and port; port 0 takes a free one.
        manager: The models.

    Raises:
        TfmmError: If the port is taken.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS),
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _PredictionService(manager), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        _ModelService(manager), server
    )
    host, port = address
    try:
        return server, server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise TfmmError(
            f"The gRPC port is not free. Received: {host}:{port} ({error}). "
            "Choose another with --port, or 0 for no gRPC."
        ) from error


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def Predict(self, request: Any, context: Any) -> Any:
        name = self._manager.served(request.model_spec.name)
        try:
            with self._manager.metrics.request(name, "GRPC"):
                return self._predict(request)
        except StatusError as error:
            _abort(context, error)

    def Classify(self, request: Any, context: Any) -> Any:
        _left_out(context, "Classify")

    def Regress(self, request: Any, context: Any) -> Any:
        _left_out(context, "Regress")

    def MultiInference(self, request: Any, context: Any) -> Any:
        _left_out(context, "MultiInference")

    def GetModelMetadata(self, request: Any, context: Any) -> Any:
        try:
            return self._metadata(request)
        except StatusError as error:
            _abort(context, error)

    def _predict(self, request: Any) -> Any:
        number, model = _find(self._manager, request)
        signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if signature not in model.signature_defs:
            raise StatusError(
                "FAILED_PRECONDITION",
                f'Serving signature key "{signature}" not found.',
            )
        dtypes = model.dtypes(signature)
        inputs = {
            name: _array(p, dtypes.get(name)) for name, p in request.inputs.items()
        }
        name = request.model_spec.name
        outputs = self._manager.run(name, model, signature, inputs)
        response = predict_pb2.PredictResponse()
        _fill_spec(response, request, number)
        response.model_spec.signature_name = signature
        for name in _filtered(request, outputs):
            value = outputs[name]
            response.outputs[name].CopyFrom(to_proto(value))
        return response

    def _metadata(self, request: Any) -> Any:
        number, model = _find(self._manager, request)
        if list(request.metadata_field) != [METADATA_FIELD]:
            raise invalid(
                f"Metadata field must be {METADATA_FIELD!r}. "
                f"Received: {list(request.metadata_field)}"
            )
        found = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in model.signature_defs.items():
            found.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _fill_spec(response, request, number)
        response.metadata[METADATA_FIELD].Pack(found)
        return response


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def GetModelStatus(self, request: Any, context: Any) -> Any:
        name, version, _ = _which(request)
        try:
            states = self._manager.states(name, version)
        except StatusError as error:
            _abort(context, error)
        response = get_model_status_pb2.GetModelStatusResponse()
        kinds = get_model_status_pb2.ModelVersionStatus.State
        for state in states:
            status = response.model_version_status.add()
            status.version = state.number
            status.state = kinds.Value(state.state)
            if state.error:
                code = grpc.StatusCode[state.error.code].value[0]
                status.status.error_code = code
                status.status.error_message = state.error.message
        return response

    def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
        _left_out(context, "HandleReloadConfigRequest")


def _left_out(context: Any, method: str) -> None:
    message = f"The embedded server has no {method}; TensorFlow Serving has."
    _abort(context, StatusError("UNIMPLEMENTED", message))


def _find(manager: ModelManager, request: Any) -> tuple[int, LoadedModel]:
    if not request.model_spec.name:
        raise invalid("Missing ModelSpec")
    return manager.get(*_which(request))  # type: ignore[return-value]


def _which(request: Any) -> tuple[str, int | None, str | None]:
    spec = request.model_spec
    kind = spec.WhichOneof("version_choice")
    version = spec.version.value if kind == "version" else None
    return spec.name, version, spec.version_label if kind == "version_label" else None


def _fill_spec(response: Any, request: Any, version: int) -> None:
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = version


def _array(proto: Any, dtype: str | None) -> np.ndarray:
    received = tf.as_dtype(proto.dtype).name
    if dtype is not None and received != dtype:
        raise invalid(f"Expects an input to be {dtype} but {received} is provided")
    try:
        return to_array(proto)
    except (TypeError, ValueError) as error:
        raise invalid(f"Could not parse a tensor proto: {error}") from error


def _filtered(request: Any, outputs: dict[str, np.ndarray]) -> list[str]:
    wanted = list(request.output_filter) or list(outputs)
    unknown = [name for name in wanted if name not in outputs]
    if unknown or len(set(wanted)) < len(wanted):
        raise invalid(f"output tensor alias not found or repeated: {unknown or wanted}")
    return wanted


def _abort(context: Any, error: StatusError) -> None:
    message = error.message
    if len(message) > _MAX_MESSAGE:
        message = message[:_MAX_MESSAGE] + "...TRUNCATED"
    context.abort(grpc.StatusCode[error.code], message)
