"""A client of TF Serving's REST API, for the embedded server and the real one."""

import http.client
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

import numpy as np

from tfmm.errors import TfmmError
from tfmm.serving.client_values import (
    check_one_each,
    complete,
    from_json,
    to_json,
)

TIMEOUT_SECONDS = 30.0
_PORTS = {"http": http.client.HTTP_PORT, "https": http.client.HTTPS_PORT}


class ServerError(TfmmError):
    """The server's answer to a request it could not serve.

    Args:
        code: HTTP status code; 0 when no server answered.
        message: The server's message.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Ranked(NamedTuple):
    """One candidate of a ranking.

    Args:
        item_id: Its raw id, text or integer as it was sent.
        score: Its click probability.
        known: Whether the model has a vector of it.
        others: Probabilities of further labels, where the model has several heads.
    """

    item_id: str | int
    score: float
    known: bool
    others: Mapping[str, float] = MappingProxyType({})


class Client:
    """Calls one model server.

    Args:
        url: E.g. `http://127.0.0.1:8501`.
        timeout: Seconds to wait for an answer.

    Raises:
        TfmmError: If the url is no http(s) address.

    Example:
        >>> Client("http://127.0.0.1:1").status("ranker")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        tfmm.serving.client.ServerError: No server answers at http://127.0.0.1:1 ...
    """

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        parts, port = _address(url)
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._host, self._port = parts.hostname or "", port
        self._path = parts.path.rstrip("/")
        secure = parts.scheme == "https"
        self._kind = (
            http.client.HTTPSConnection if secure else http.client.HTTPConnection
        )
        self._timeout = timeout

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        signature_name: str | None = None,
        version: int | None = None,
    ) -> dict[str, np.ndarray] | np.ndarray:
        """Calls a signature in the columnar format.

        Args:
            model: The model's name.
            inputs: Input name -> array, list or scalar; bytes travel as base64.
            signature_name: `serving_default` when absent.
            version: The highest available when absent.

        Returns:
            Output name -> array; the array itself if there is a single output.

        Raises:
            ServerError: If the server refuses or does not answer.
        """
        body: dict[str, Any] = {"inputs": {k: to_json(v) for k, v in inputs.items()}}
        if signature_name is not None:
            body["signature_name"] = signature_name
        answer = self._call("POST", _path(model, version) + ":predict", body)
        outputs = answer["outputs"]
        if isinstance(outputs, dict):
            return {name: from_json(value) for name, value in outputs.items()}
        return from_json(outputs)

    def rank(
        self,
        items: Sequence[str | int],
        user_key: int = 0,
        history: Sequence[str | int] = (),
        history_type: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        candidates: Mapping[str, Sequence[Any]] | None = None,
        model: str = "ranker",
        version: int | None = None,
    ) -> list[Ranked]:
        """Ranks candidates for one user, best first.

        What the model takes but is not given counts as missing: `""` for text, 0 for
        numbers. A `base_score` alone must be given: no score is not a score of 0.

        Args:
            items: Raw ids of the candidates.
            user_key: The user's keyed hash; 0 for an unknown user.
            history: Raw ids of the user's events, oldest first.
            history_type: Their types, one per event; missing when absent.
            context: Values of `user_<f>` and `context_<f>` by tensor name.
            candidates: Values of `candidate_<f>`, and `base_score` where the model
                starts from it, by tensor name, one per item.
            model: The model's name.
            version: The highest available when absent.

        Raises:
            ServerError: If the server refuses or does not answer.
            TfmmError: If a value names no input of the model, is not one per item
                or event, or is a text where the model takes a number.
        """
        wanted = self.signature(model, "rank", version)
        if history_type is None and "history_type" in wanted:
            history_type = [""] * len(history)
        types = {} if history_type is None else {"history_type": history_type}
        check_one_each(types, len(history), "event of the history")
        check_one_each(candidates or {}, len(items), "candidate")
        given: dict[str, Any] = {
            "user_key": [user_key],
            "history_item_id": [list(history)],
            **{name: [list(value)] for name, value in types.items()},
            "n_history": [len(history)],
            "item_id": [list(items)],
            "n_items": [len(items)],
            **{name: [value] for name, value in (context or {}).items()},
            **{name: [list(value)] for name, value in (candidates or {}).items()},
        }
        inputs = complete(model, wanted, given, len(items))
        answer = self.predict(model, inputs, "rank", version)
        assert isinstance(answer, dict)
        found = {name: values[0].tolist() for name, values in answer.items()}
        columns = [found.pop(name) for name in Ranked._fields[:3]]
        heads = {
            name.removeprefix("score_"): scores
            for name, scores in found.items()
            if name.startswith("score_")
        }
        ranked = [
            Ranked(item, score, known, {head: x[place] for head, x in heads.items()})
            for place, (item, score, known) in enumerate(zip(*columns, strict=True))
        ]
        return sorted(ranked, key=lambda r: -r.score)

    def status(self, model: str) -> list[dict[str, Any]]:
        """States of the model's versions, as the server reports them."""
        return self._call("GET", _path(model, None))["model_version_status"]

    def signature(
        self, model: str, name: str, version: int | None = None
    ) -> dict[str, tuple[str, int]]:
        """Input name -> (dtype, rank) of a signature, e.g. `("DT_INT64", 2)`."""
        answer = self._call("GET", _path(model, version) + "/metadata")
        found = answer["metadata"]["signature_def"]["signature_def"]
        if name not in found:
            names = sorted(n for n in found if not n.startswith("__"))
            raise ServerError(
                400,
                f"`{model}` has no signature `{name}`. Expected one of: {names}. "
                "Name another model.",
            )
        return {
            key: (info["dtype"], len(info["tensor_shape"]["dim"]))
            for key, info in found[name]["inputs"].items()
        }

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        kind, timeout = self._kind, self._timeout
        try:
            with closing(kind(self._host, self._port, timeout=timeout)) as connection:
                connection.request(method, self._path + path, data)
                response = connection.getresponse()
                text, code = response.read(), response.status
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            raise ServerError(
                0, f"No server answers at {self._url} ({error}). Start `tfmm serve`."
            ) from error
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise ServerError(code, f"{self._url} is no model server.") from error
        if code != 200:
            raise ServerError(code, str(answer.get("error", answer)))
        return answer


def _path(model: str, version: int | None) -> str:
    path = f"/v1/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{version}"


def _address(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise _no_address(url) from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise _no_address(url)
    return parts, port if port is not None else _PORTS[parts.scheme]


def _no_address(url: str) -> TfmmError:
    return TfmmError(
        f"`url` must be an http(s) address. Received: {url!r}. "
        "Example: http://127.0.0.1:8501."
    )
