"""TF Serving's REST routes: a pure function from request to answer."""

import html
import json
import re
from dataclasses import dataclass
from urllib.parse import unquote

from tfmm.serving.config import to_version
from tfmm.serving.json_tensor import read_request, write_response
from tfmm.serving.metrics import CONTENT_TYPE
from tfmm.serving.status import StatusError, invalid
from tfmm.serving.versions import ModelManager, Version

_WHICH = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICTION = re.compile(
    rf"(?i)/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<method>classify|regress|predict)",
    re.ASCII,
)
_MODEL = re.compile(
    rf"(?i)/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?P<metadata>/metadata)?", re.ASCII
)
_API = re.compile(r"(?i)/v1/.*", re.DOTALL)
METRICS_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Args:
        code: HTTP status code.
        body: Its body.
        content_type: Its media type.
    """

    code: int
    body: bytes
    content_type: str = "application/json"


def respond(manager: ModelManager, method: str, target: str, body: bytes) -> Answer:
    """Answers one REST call.

    Args:
        manager: The models.
        method: HTTP method.
        target: Path and query as they stand in the request line.
        body: The request's body.
    """
    if (method, target) == ("GET", METRICS_PATH):
        return Answer(200, manager.metrics.page(), CONTENT_TYPE)
    if not _API.fullmatch(target):
        text = f"<h1>Not Found</h1><p>{html.escape(target)}</p>"
        return Answer(404, text.encode("utf-8", "replace"), "text/html")
    try:
        return Answer(200, _call(manager, method, target, body))
    except StatusError as error:
        return error_answer(error)


def error_answer(error: StatusError) -> Answer:
    """The answer `{"error": message}`."""
    # Escaped, for it may quote bytes that are not UTF-8.
    text = json.dumps({"error": error.message.encode("utf-8", "replace").decode()})
    return Answer(error.http_code, text.encode())


def _call(manager: ModelManager, method: str, target: str, body: bytes) -> bytes:
    if method == "POST" and (match := _PREDICTION.fullmatch(target)):
        verb = match["method"]
        if verb == "predict":
            return _predict(manager, match, body)
        if verb in ("classify", "regress"):
            raise StatusError(
                "UNIMPLEMENTED",
                f"The embedded server has no {verb}; the real TensorFlow Serving, "
                "tensorflow_model_server, has.",
            )
    elif method == "GET" and (match := _MODEL.fullmatch(target)):
        if not match["name"]:
            raise invalid("Missing model name in request.")
        if match["metadata"]:
            return _metadata(manager, match)
        return _status(manager, match)
    raise invalid(f"Malformed request: {method} {target}")


def _predict(manager: ModelManager, match: re.Match, body: bytes) -> bytes:
    which = _which(match)
    name, found = which[0], []

    def dtypes_of(signature: str) -> dict[str, str]:
        # Asked once the body is parsed: TF Serving reports bad JSON first.
        found.append(manager.get(*which)[1])
        return found[0].dtypes(signature)

    with manager.metrics.request(manager.known_name(name), "REST"):
        request = read_request(body, dtypes_of)
        with manager.metrics.run(name):
            outputs = found[0].run(request.signature, request.inputs)
        return write_response(outputs, request.row_format)


def _which(match: re.Match) -> tuple[str, int | None, str | None]:
    digits = match["version"]
    version = None if digits is None else to_version(digits)
    if digits is not None and version is None:
        raise invalid(f"Failed to convert version: {digits} to numeric.")
    label = None if match["label"] is None else unquote(match["label"])
    return unquote(match["name"]), version, label


def _metadata(manager: ModelManager, match: re.Match) -> bytes:
    name, version, label = _which(match)
    number, model = manager.get(name, version, label)
    answer = {
        "model_spec": {"name": name, "signature_name": "", "version": str(number)},
        "metadata": {"signature_def": {"signature_def": model.metadata()}},
    }
    return json.dumps(answer, indent=1).encode()


def _status(manager: ModelManager, match: re.Match) -> bytes:
    name, version, _ = _which(match)
    states = [_state(v) for v in manager.states(name, version)]
    return json.dumps({"model_version_status": states}, indent=1).encode()


def _state(version: Version) -> dict:
    error = version.error
    return {
        "version": str(version.number),
        "state": version.state,
        "status": {
            "error_code": error.code if error else "OK",
            "error_message": error.message if error else "",
        },
    }
