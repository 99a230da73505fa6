"""The client's calls over REST, on a connection kept per thread."""

import http.client
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tfmm.serving.client_calls import Answer, SignatureInfo, Target, TensorInfo
from tfmm.serving.client_errors import server_error
from tfmm.serving.client_values import from_json, to_json


class RestTransport:
    """TF Serving's REST API.

    Args:
        host: Name or address.
        port: Its port.
        secure: Whether to speak TLS.
        path: What stands before `/v1`, behind a proxy.
    """

    def __init__(self, host: str, port: int, secure: bool, path: str) -> None:
        scheme = "https" if secure else "http"
        self._name = f"{scheme}://{host}:{port}"
        self._address = host, port
        self._path = path
        self._kind = (
            http.client.HTTPSConnection if secure else http.client.HTTPConnection
        )
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def predict(
        self,
        target: Target,
        signature: str,
        info: SignatureInfo,
        inputs: Mapping[str, Any],
        only: Sequence[str],
        timeout: float,
    ) -> Answer:
        """Runs a signature in the columnar format; all outputs travel in any case."""
        body = {
            "signature_name": signature,
            "inputs": {name: to_json(value) for name, value in inputs.items()},
        }
        answer = self._call("POST", _path(target) + ":predict", timeout, body)
        outputs = answer["outputs"]
        if len(info.outputs) == 1:
            outputs = {next(iter(info.outputs)): outputs}
        known = {name: tensor.dtype for name, tensor in info.outputs.items()}
        wanted = only or outputs
        return Answer({n: from_json(outputs[n], known.get(n)) for n in wanted})

    def signatures(self, target: Target, timeout: float) -> dict[str, SignatureInfo]:
        """The model's signatures."""
        answer = self._call("GET", _path(target) + "/metadata", timeout)
        found = answer["metadata"]["signature_def"]["signature_def"]
        return {
            name: SignatureInfo(_tensors(s["inputs"]), _tensors(s.get("outputs", {})))
            for name, s in found.items()
            if not name.startswith("__")
        }

    def status(self, target: Target, timeout: float) -> list[dict[str, Any]]:
        """States of versions."""
        return self._call("GET", _path(target), timeout)["model_version_status"]

    def close(self) -> None:
        """Closes the connections of all threads."""
        for connection in self._opened:
            connection.close()

    def _call(
        self, method: str, path: str, timeout: float, body: Any = None
    ) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        try:
            text, code = self._exchange(method, self._path + path, data, timeout)
        except TimeoutError as error:
            raise server_error(
                504, f"{self._name} did not answer within {timeout:.1f} seconds."
            ) from error
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            raise server_error(
                0, f"No server answers at {self._name} ({error}). Start `tfmm serve`."
            ) from error
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise server_error(code, f"{self._name} is no model server.") from error
        if code != 200:
            raise server_error(code, str(answer.get("error", answer)))
        return answer

    def _exchange(
        self, method: str, path: str, data: bytes | None, timeout: float
    ) -> tuple[bytes, int]:
        connection = self._connection(timeout)
        reused = connection.sock is not None
        try:
            connection.request(method, path, data)
            response = connection.getresponse()
            return response.read(), response.status
        except (ConnectionError, http.client.BadStatusLine):
            connection.close()
            # The server closes connections that rest; what was sent got no answer.
            if not reused:
                raise
            connection.request(method, path, data)
            response = connection.getresponse()
            return response.read(), response.status
        except BaseException:
            connection.close()
            raise

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._kind(*self._address)
            self._local.connection = connection
            self._opened.append(connection)
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection


def _tensors(found: Mapping[str, Any]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(info["dtype"], len(info["tensor_shape"].get("dim", ())))
        for name, info in found.items()
    }


def _path(target: Target) -> str:
    path = f"/v1/models/{quote(target.model, safe='')}"
    if target.label is not None:
        return f"{path}/labels/{quote(target.label, safe='')}"
    return path if target.version is None else f"{path}/versions/{target.version}"
