"""The client's calls over REST, on connections that are kept."""

import http.client
import json
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tfmm.serving.client_calls import Answer, SignatureInfo, Target, TensorInfo
from tfmm.serving.client_errors import server_error
from tfmm.serving.client_values import from_json, to_json

_KEPT = 32
_CHUNK = 1 << 16


class RestTransport:
    """TF Serving's REST API.

    A call takes a connection that rests, or opens one, and leaves it for the next call
    of whatever thread. A forked process opens its own.

    Args:
        host: Name or address.
        port: Its port.
        secure: Whether to speak TLS.
        path: What stands before `/v1`, behind a proxy.
    """

    def __init__(self, host: str, port: int, secure: bool, path: str) -> None:
        shown = f"[{host}]" if ":" in host else host
        self._name = f"{'https' if secure else 'http'}://{shown}:{port}"
        self._address = host, port
        self._path = path
        self._kind = (
            http.client.HTTPSConnection if secure else http.client.HTTPConnection
        )
        self._resting: deque[http.client.HTTPConnection] = deque()
        self._process = os.getpid()

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
        path = _path(target) + ":predict"
        outputs = self._call("POST", path, "outputs", timeout, body)
        if len(info.outputs) == 1:
            outputs = {next(iter(info.outputs)): outputs}
        lacking = sorted(set(only) - set(outputs))
        if lacking:
            raise server_error(
                400,
                f"`{target.model}` gives no output of this name. Received: {lacking}. "
                f"Expected some of: {sorted(outputs)}.",
            )
        known = {name: tensor.dtype for name, tensor in info.outputs.items()}
        return Answer({n: from_json(outputs[n], known.get(n)) for n in only or outputs})

    def signatures(self, target: Target, timeout: float) -> dict[str, SignatureInfo]:
        """The model's signatures."""
        path = _path(target) + "/metadata"
        answer = self._call("GET", path, "metadata", timeout)
        found = answer["signature_def"]["signature_def"]
        return {
            name: SignatureInfo(_tensors(s["inputs"]), _tensors(s.get("outputs", {})))
            for name, s in found.items()
            if not name.startswith("__")
        }

    def status(self, target: Target, timeout: float) -> list[dict[str, Any]]:
        """States of versions."""
        return self._call("GET", _path(target), "model_version_status", timeout)

    def close(self) -> None:
        """Closes the connections that rest."""
        while self._resting:
            self._resting.pop().close()

    def _call(
        self, method: str, path: str, key: str, timeout: float, body: Any = None
    ) -> Any:
        """What the answer has under a key."""
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
            found = json.loads(text)[key if code == 200 else "error"]
        except (ValueError, TypeError, KeyError) as error:
            raise server_error(
                code,
                f"{self._name} is no model server. Received: HTTP {code} without "
                f"{'a' if code == 200 else 'an error as'} JSON answer. Look what "
                "listens there, or stands before it.",
            ) from error
        if code != 200:
            raise server_error(code, str(found))
        return found

    def _exchange(
        self, method: str, path: str, data: bytes | None, timeout: float
    ) -> tuple[bytes, int]:
        deadline = time.monotonic() + timeout
        rested = self._take()
        if rested is not None:
            try:
                return self._ask(rested, method, path, data, deadline)
            except (ConnectionError, http.client.BadStatusLine):
                # The server closes connections that rest; what was sent got no answer.
                pass
        opened = self._kind(*self._address)
        return self._ask(opened, method, path, data, deadline)

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        data: bytes | None,
        deadline: float,
    ) -> tuple[bytes, int]:
        try:
            connection.timeout = _left(deadline)
            if connection.sock is None:
                connection.connect()
            socket = connection.sock
            socket.settimeout(_left(deadline))
            connection.request(method, path, data)
            response = connection.getresponse()
            parts = []
            socket.settimeout(_left(deadline))
            while part := response.read1(_CHUNK):
                parts.append(part)
                socket.settimeout(_left(deadline))
            response.close()
            if response.length:
                raise http.client.IncompleteRead(b"".join(parts), response.length)
        except BaseException:
            connection.close()
            raise
        if len(self._resting) < _KEPT:
            self._resting.append(connection)
        else:
            connection.close()
        return b"".join(parts), response.status

    def _take(self) -> http.client.HTTPConnection | None:
        if self._process != os.getpid():
            self._resting, self._process = deque(), os.getpid()
        try:
            return self._resting.pop()
        except IndexError:
            return None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


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
