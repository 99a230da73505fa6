"""A client of TF Serving, for the embedded server and the real one."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import SplitResult, urlsplit

import numpy as np

from tfmm.errors import TfmmError
from tfmm.serving.client_calls import Answer, SignatureInfo, Target, Transport
from tfmm.serving.client_errors import (
    MAY_REPEAT,
    InvalidArgument,
    ServerError,
    server_error,
)
from tfmm.serving.client_ranking import Ranking, rank_inputs, ranking
from tfmm.serving.client_rest import RestTransport

TIMEOUT_SECONDS = 30.0
RETRIES = 2
DEFAULT_SIGNATURE = "serving_default"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_PORTS = {"http": 80, "https": 443, "grpc": 8500}
Signatures = dict[str, SignatureInfo]


class Client:
    """Calls one model server; safe to share between threads.

    Calls are repeated, with growing pauses, where no server answered or it was too
    busy: predictions change nothing, so a second one does no harm. Signatures are asked
    for once, and again when a newer version takes other inputs.

    Args:
        url: `http://127.0.0.1:8501`, `https://...`, or `grpc://127.0.0.1:8500`.
        timeout: Seconds that a call may take, with all repetitions and whatever else
            it asks the server for.
        retries: How often a call is repeated at most.

    Raises:
        TfmmError: If the url is no such address, or the others are no such numbers.

    Example:
        >>> Client("http://127.0.0.1:1", retries=0).status("ranker")
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        tfmm.serving.client_errors.Unavailable: No server answers at http://127.0.0.1:1...
    """

    def __init__(
        self, url: str, timeout: float = TIMEOUT_SECONDS, retries: int = RETRIES
    ) -> None:
        if not timeout > 0 or retries < 0:
            raise TfmmError(
                "A client waits some time and repeats calls or not. Expected: timeout "
                f"> 0, retries >= 0. Received: {timeout} and {retries}. Example: "
                "Client(url, timeout=0.2, retries=1)."
            )
        self._transport = _transport(url)
        self._timeout, self._retries = timeout, retries
        self._signatures: dict[Target, Signatures] = {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the client may be used again."""
        self._transport.close()

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        signature_name: str | None = None,
        version: int | None = None,
        label: str | None = None,
        output_filter: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Calls a signature in the columnar format.

        Args:
            model: The model's name.
            inputs: Input name -> array, list or scalar; bytes travel as they are.
            signature_name: `serving_default` when absent.
            version: The highest available when absent.
            label: A label in place of a version.
            output_filter: Outputs wanted; all when empty.
            timeout: Seconds for this call in place of the client's.

        Returns:
            Output name -> array; texts as `str`, of names that end in `_bytes` as
            bytes.

        Raises:
            ServerError: If the server refuses or does not answer; its subclasses say
                which: `InvalidArgument`, `NotFound`, `Unavailable`, ...
        """
        target = Target(model, version, label)
        name, deadline = signature_name or DEFAULT_SIGNATURE, self._deadline(timeout)
        return self._ask(
            target, name, lambda _: inputs, deadline, output_filter
        ).outputs

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
        label: str | None = None,
        timeout: float | None = None,
    ) -> Ranking:
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
            label: A label in place of a version.
            timeout: Seconds for this call in place of the client's.

        Raises:
            ServerError: If the server refuses or does not answer.
            TfmmError: If a value names no input of the model, is not one per item
                or event, or is a text where the model takes a number.
        """

        def inputs(info: SignatureInfo) -> Mapping[str, Any]:
            features = context or {}, candidates or {}
            user = user_key, history, history_type
            return rank_inputs(model, info.inputs, items, *user, *features)

        target, deadline = Target(model, version, label), self._deadline(timeout)
        return ranking(self._ask(target, "rank", inputs, deadline), len(items))

    def status(
        self, model: str, version: int | None = None, label: str | None = None
    ) -> list[dict[str, Any]]:
        """States of the model's versions, as the server reports them."""
        target = Target(model, version, label)
        return self._repeated(
            lambda left: self._transport.status(target, left), self._deadline()
        )

    def signature(
        self,
        model: str,
        name: str,
        version: int | None = None,
        label: str | None = None,
    ) -> SignatureInfo:
        """Inputs and outputs of a signature, by name: dtype and rank of each.

        Raises:
            ServerError: If there is no such model or signature.
        """
        target = Target(model, version, label)
        return _named(model, name, self._signatures_of(target, self._deadline()))

    def _ask(
        self,
        target: Target,
        signature: str,
        inputs: Callable[[SignatureInfo], Mapping[str, Any]],
        deadline: float,
        only: Sequence[str] = (),
    ) -> Answer:
        def ask(found: Signatures) -> Answer:
            info = _named(target.model, signature, found)
            given = inputs(info)
            _check_names(signature, given, info)
            return self._repeated(
                lambda left: self._transport.predict(
                    target, signature, info, given, only, left
                ),
                deadline,
            )

        remembered = self._signatures.get(target)
        try:
            return ask(remembered or self._signatures_of(target, deadline))
        except TfmmError as error:
            # A newer version may take other inputs than those remembered.
            is_refusal = isinstance(error, InvalidArgument)
            if remembered is None or (isinstance(error, ServerError) != is_refusal):
                raise
            self._signatures.pop(target, None)
            found = self._signatures_of(target, deadline)
            if found == remembered:
                raise
        return ask(found)

    def _signatures_of(self, target: Target, deadline: float) -> Signatures:
        found = self._signatures.get(target)
        if found is None:
            found = self._repeated(
                lambda left: self._transport.signatures(target, left), deadline
            )
            self._signatures[target] = found
        return found

    def _deadline(self, timeout: float | None = None) -> float:
        return time.monotonic() + (self._timeout if timeout is None else timeout)

    def _repeated(self, call: Callable[[float], Any], deadline: float) -> Any:
        pause = _FIRST_PAUSE
        for left in range(self._retries, -1, -1):
            try:
                return call(max(deadline - time.monotonic(), 0.001))
            except MAY_REPEAT:
                wait = pause * random.uniform(0.5, 1.5)
                if not left or time.monotonic() + wait >= deadline:
                    raise
                time.sleep(wait)
                pause = min(2 * pause, _LONGEST_PAUSE)
        raise AssertionError("unreachable")


def _named(model: str, name: str, found: Signatures) -> SignatureInfo:
    if name not in found:
        raise server_error(
            400,
            f"`{model}` has no signature `{name}`. Expected one of: {sorted(found)}. "
            "Name another, or another model.",
        )
    return found[name]


def _check_names(signature: str, given: Mapping[str, Any], info: SignatureInfo) -> None:
    """Refuses what the server would, and over REST leave unread without a word."""
    unknown = sorted(set(given) - set(info.inputs))
    if unknown:
        raise server_error(
            400,
            f"`{signature}` takes no input of this name. Received: {unknown}. "
            f"Expected some of: {sorted(info.inputs)}.",
        )


def _transport(url: str) -> Transport:
    parts, port = _address(url)
    host = parts.hostname or ""
    if parts.scheme != "grpc":
        secure = parts.scheme == "https"
        return RestTransport(host, port, secure, parts.path.rstrip("/"))
    from tfmm.serving.client_grpc import GrpcTransport

    return GrpcTransport(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


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
        f"`url` must be an http(s) or grpc address. Received: {url!r}. "
        "Example: http://127.0.0.1:8501."
    )
