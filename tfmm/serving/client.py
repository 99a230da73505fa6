"""A client of TF Serving, for the embedded server and the real one."""

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

import numpy as np

from tfmm.errors import TfmmError
from tfmm.serving.client_calls import Answer, SignatureInfo, Target, Transport
from tfmm.serving.client_errors import (
    MAY_REPEAT,
    ServerError,
    server_error,
)
from tfmm.serving.client_rest import RestTransport
from tfmm.serving.client_values import check_one_each, complete

TIMEOUT_SECONDS = 30.0
RETRIES = 2
DEFAULT_SIGNATURE = "serving_default"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_PORTS = {"http": 80, "https": 443, "grpc": 8500}


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


class Ranking(list[Ranked]):
    """Candidates, best first.

    Attributes:
        history_known: Share of the history's events whose item has a vector.
        version: The version that ranked; None over REST, which does not say.
    """

    def __init__(
        self,
        ranked: Iterable[Ranked],
        history_known: float = 0.0,
        version: int | None = None,
    ) -> None:
        super().__init__(ranked)
        self.history_known = history_known
        self.version = version


class Client:
    """Calls one model server; safe to share between threads.

    Calls are repeated, with growing pauses, where no server answered or it was too
    busy: predictions change nothing, so a second one does no harm.

    Args:
        url: `http://127.0.0.1:8501`, `https://...`, or `grpc://127.0.0.1:8500`.
        timeout: Seconds that a call may take, all repetitions included.
        retries: How often a call is repeated at most.

    Raises:
        TfmmError: If the url is no such address.

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
        self._transport = _transport(url)
        self._timeout, self._retries = timeout, retries
        self._signatures: dict[Target, dict[str, SignatureInfo]] = {}

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
    ) -> dict[str, np.ndarray]:
        """Calls a signature in the columnar format.

        Args:
            model: The model's name.
            inputs: Input name -> array, list or scalar; bytes travel as they are.
            signature_name: `serving_default` when absent.
            version: The highest available when absent.
            label: A label in place of a version.
            output_filter: Outputs wanted; all when empty.

        Returns:
            Output name -> array; texts as `str`.

        Raises:
            ServerError: If the server refuses or does not answer; its subclasses say
                which: `InvalidArgument`, `NotFound`, `Unavailable`, ...
        """
        target = Target(model, version, label)
        name = signature_name or DEFAULT_SIGNATURE
        return self._ask(target, name, lambda _: inputs, output_filter).outputs

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

        Raises:
            ServerError: If the server refuses or does not answer.
            TfmmError: If a value names no input of the model, is not one per item
                or event, or is a text where the model takes a number.
        """

        def inputs(info: SignatureInfo) -> Mapping[str, Any]:
            types = {} if history_type is None else {"history_type": history_type}
            if history_type is None and "history_type" in info.inputs:
                types = {"history_type": [""] * len(history)}
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
                **{n: [list(value)] for n, value in (candidates or {}).items()},
            }
            return complete(model, info.inputs, given, len(items))

        return _ranking(self._ask(Target(model, version, label), "rank", inputs))

    def status(
        self, model: str, version: int | None = None, label: str | None = None
    ) -> list[dict[str, Any]]:
        """States of the model's versions, as the server reports them."""
        target = Target(model, version, label)
        return self._repeated(lambda left: self._transport.status(target, left))

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
        found = self._info(Target(model, version, label))
        if name not in found:
            raise server_error(
                400,
                f"`{model}` has no signature `{name}`. Expected one of: "
                f"{sorted(found)}. Name another model.",
            )
        return found[name]

    def _ask(
        self,
        target: Target,
        signature: str,
        inputs: Callable[[SignatureInfo], Mapping[str, Any]],
        only: Sequence[str] = (),
    ) -> Answer:
        def ask() -> Answer:
            names = target.model, signature, target.version, target.label
            info = self.signature(*names)
            given = inputs(info)
            return self._repeated(
                lambda left: self._transport.predict(
                    target, signature, info, given, only, left
                )
            )

        remembered = self._signatures.get(target)
        try:
            return ask()
        except (TfmmError, KeyError):
            # A newer version may take other inputs than those remembered.
            if remembered is None:
                raise
            self._signatures.pop(target, None)
            if self._info(target) == remembered:
                raise
        return ask()

    def _info(self, target: Target) -> dict[str, SignatureInfo]:
        found = self._signatures.get(target)
        if found is None:
            found = self._repeated(
                lambda left: self._transport.signatures(target, left)
            )
            self._signatures[target] = found
        return found

    def _repeated(self, call: Callable[[float], Any]) -> Any:
        deadline, pause = time.monotonic() + self._timeout, _FIRST_PAUSE
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


def _ranking(answer: Answer) -> Ranking:
    found = {name: values[0].tolist() for name, values in answer.outputs.items()}
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
    ranked.sort(key=lambda r: -r.score)
    return Ranking(ranked, found.get("history_known", 0.0), answer.version)


def _transport(url: str) -> Transport:
    parts, port = _address(url)
    host = parts.hostname or ""
    if parts.scheme != "grpc":
        secure = parts.scheme == "https"
        return RestTransport(host, port, secure, parts.path.rstrip("/"))
    from tfmm.serving.client_grpc import GrpcTransport

    return GrpcTransport(f"{host}:{port}")


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


__all__ = ["Client", "Ranked", "Ranking", "ServerError"]
