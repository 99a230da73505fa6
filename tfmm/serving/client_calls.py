"""What the client asks of a protocol, REST or gRPC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np


@dataclass(frozen=True)
class Target:
    """What is asked.

    Args:
        model: The model's name.
        version: Its version; the server's newest when absent.
        label: A label in place of a version.
    """

    model: str
    version: int | None = None
    label: str | None = None


class TensorInfo(NamedTuple):
    """An input or output of a signature.

    Args:
        dtype: E.g. `"DT_INT64"`.
        rank: Number of axes.
    """

    dtype: str
    rank: int


class SignatureInfo(NamedTuple):
    """A signature's inputs and outputs by name."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]


class Answer(NamedTuple):
    """Outputs by name, and the version that gave them where the protocol says so."""

    outputs: dict[str, np.ndarray]
    version: int | None = None


class Transport(Protocol):
    """A protocol; every call raises `ServerError` for what was not served."""

    def predict(
        self,
        target: Target,
        signature: str,
        info: SignatureInfo,
        inputs: Mapping[str, Any],
        only: Sequence[str],
        timeout: float,
    ) -> Answer:
        """Runs a signature; `only` names the outputs wanted, all when empty."""
        ...

    def signatures(self, target: Target, timeout: float) -> dict[str, SignatureInfo]:
        """The model's signatures."""
        ...

    def status(self, target: Target, timeout: float) -> list[dict[str, Any]]:
        """States of versions: `version`, `state`, `status`."""
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...
