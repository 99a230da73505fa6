"""TF Serving's gRPC services: Predict, GetModelMetadata and GetModelStatus."""

import logging
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tfmm.errors import TfmmError
from tfmm.serving.http import MAX_BODY_BYTES
from tfmm.serving.json_tensor import DEFAULT_SIGNATURE
from tfmm.serving.loader import LoadedModel, check_names
from tfmm.serving.status import StatusError, invalid
from tfmm.serving.tensor_protos import fill_proto, read_proto
from tfmm.serving.versions import ModelManager

METADATA_FIELD = "signature_def"
_MAX_MESSAGE = 1024
_THREADS = 8
_LOG = logging.getLogger("tfmm.serving")


def grpc_server(
    address: tuple[str, int],
    manager: ModelManager,
    max_tensor_bytes: int = MAX_BODY_BYTES,
) -> tuple[Any, int]:
    """A gRPC server, not yet started, and the port it is bound to.

    Args:
        address: Host and port; port 0 takes a free one.
        manager: The models.
        max_tensor_bytes: Longest tensor of a request.

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
    server.add_generic_rpc_handlers(_handlers(_Service(manager, max_tensor_bytes)))
    host, port = address
    try:
        return server, server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise TfmmError(
            f"The gRPC port is not free. Received: {host}:{port} ({error}). "
            "Choose another with --port, or 0 for no gRPC."
        ) from error


def _handlers(service: "_Service") -> list[grpc.GenericRpcHandler]:
    prediction = {
        "Predict": _unary(service.predict, predict_pb2.PredictRequest),
        "GetModelMetadata": _unary(
            service.metadata, get_model_metadata_pb2.GetModelMetadataRequest
        ),
    }
    model = {
        "GetModelStatus": _unary(
            service.status, get_model_status_pb2.GetModelStatusRequest
        )
    }
    handler = grpc.method_handlers_generic_handler
    return [
        handler("tensorflow.serving.PredictionService", prediction),
        handler("tensorflow.serving.ModelService", model),
        _LeftOut(),
    ]


def _unary(answer: Callable[[Any], Any], request: Any) -> grpc.RpcMethodHandler:
    def call(message: Any, context: Any) -> Any:
        try:
            return answer(message)
        except StatusError as error:
            _abort(context, error)
        except Exception:
            _LOG.exception("a %s failed", request.__name__)
            _abort(context, StatusError("INTERNAL", "Internal error, see log."))

    return grpc.unary_unary_rpc_method_handler(
        call, request.FromString, lambda response: response.SerializeToString()
    )


class _LeftOut(grpc.GenericRpcHandler):
    """Answers what the embedded server has not, for any kind of call."""

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler:
        method = handler_call_details.method

        def refuse(requests: Any, context: Any) -> Any:
            message = (
                f"The embedded server has no {method}. Use the real TensorFlow "
                "Serving, tensorflow_model_server."
            )
            _abort(context, StatusError("UNIMPLEMENTED", message))

        return grpc.stream_stream_rpc_method_handler(refuse)


class _Service:
    def __init__(self, manager: ModelManager, max_tensor_bytes: int) -> None:
        self._manager = manager
        self._max_tensor_bytes = max_tensor_bytes

    def predict(self, request: Any) -> Any:
        name = request.model_spec.name
        with self._manager.metrics.request(self._manager.known_name(name), "GRPC"):
            return self._predict(request)

    def metadata(self, request: Any) -> Any:
        _check_spec(request)
        _check_fields(list(request.metadata_field))
        number, model = self._find(request)
        found = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in model.signature_defs.items():
            found.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _fill_spec(response, request, number)
        response.metadata[METADATA_FIELD].Pack(found)
        return response

    def status(self, request: Any) -> Any:
        _check_spec(request)
        name, version, _ = _which(request)
        response = get_model_status_pb2.GetModelStatusResponse()
        kinds = get_model_status_pb2.ModelVersionStatus.State
        for state in self._manager.states(name, version):
            status = response.model_version_status.add()
            status.version = state.number
            status.state = kinds.Value(state.state)
            if state.error:
                code = grpc.StatusCode[state.error.code].value[0]
                status.status.error_code = code
                status.status.error_message = state.error.message
        return response

    def _predict(self, request: Any) -> Any:
        _check_spec(request)
        number, model = self._find(request)
        signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if signature not in model.signature_defs:
            raise StatusError(
                "FAILED_PRECONDITION",
                f'Serving signature key "{signature}" not found.',
            )
        dtypes = model.dtypes(signature)
        check_names(set(request.inputs), set(dtypes))
        _check_dtypes(request, dtypes)
        filtered = _filtered(request, model.signature_defs[signature].outputs)
        inputs = {
            name: read_proto(proto, self._max_tensor_bytes)
            for name, proto in request.inputs.items()
        }
        with self._manager.metrics.run(request.model_spec.name):
            outputs = model.run(signature, inputs)
        response = predict_pb2.PredictResponse()
        _fill_spec(response, request, number)
        response.model_spec.signature_name = signature
        for name in filtered:
            fill_proto(response.outputs[name], outputs[name])
        return response

    def _find(self, request: Any) -> tuple[int, LoadedModel]:
        if not request.model_spec.name:
            raise invalid("ModelSpec has no name specified.")
        return self._manager.get(*_which(request))  # type: ignore[return-value]


def _check_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _check_fields(fields: list[str]) -> None:
    if not fields:
        raise invalid(
            "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for field in fields:
        if field != METADATA_FIELD:
            raise invalid(f"Metadata field {field} is not supported")


def _which(request: Any) -> tuple[str, int | None, str | None]:
    spec = request.model_spec
    kind = spec.WhichOneof("version_choice")
    version = spec.version.value if kind == "version" else None
    return spec.name, version, spec.version_label if kind == "version_label" else None


def _fill_spec(response: Any, request: Any, version: int) -> None:
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = version


def _check_dtypes(request: Any, dtypes: dict[str, str]) -> None:
    for place, name in enumerate(sorted(dtypes)):
        received = request.inputs[name].dtype
        expected = tf.as_dtype(dtypes[name]).as_datatype_enum
        if received != expected:
            raise invalid(
                f"Expects arg[{place}] to be {_type_name(expected)} but "
                f"{_type_name(received)} is provided"
            )


def _type_name(dtype: int) -> str:
    if dtype not in types_pb2.DataType.values():
        return str(dtype)
    return types_pb2.DataType.Name(dtype).removeprefix("DT_").lower()


def _filtered(request: Any, outputs: Any) -> list[str]:
    wanted: list[str] = []
    for name in request.output_filter:
        if name not in outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected "
                f"to be in the set {{{','.join(sorted(outputs))}}}."
            )
        if name in wanted:
            raise invalid(f"duplicate output tensor alias: {name}")
        wanted.append(name)
    return wanted or list(outputs)


def _abort(context: Any, error: StatusError) -> None:
    message = error.message
    if len(message) > _MAX_MESSAGE:
        message = message[:_MAX_MESSAGE] + "...TRUNCATED"
    context.abort(grpc.StatusCode[error.code], message)
