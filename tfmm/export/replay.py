"""Replays an export's golden requests to any server and compares the answers."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfmm.errors import TfmmError
from tfmm.export.golden import TOLERANCE, difference, read_golden
from tfmm.export.manifest import read_facts
from tfmm.export.variations import alone, cut_to
from tfmm.export.verify import version_folder
from tfmm.export.warmup import Answered

Predict = Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


class Replayed(NamedTuple):
    """One signature's golden requests, asked one by one.

    Args:
        signature: Its name.
        calls: How many were asked.
        largest: The largest difference of a number; infinite where anything else
            differs.
        milliseconds: float64 `[calls]`, how long each took.
    """

    signature: str
    calls: int
    largest: float
    milliseconds: np.ndarray

    @property
    def ok(self) -> bool:
        """Whether every answer was right, to 1e-5."""
        return self.largest <= TOLERANCE


def replay(folder: str | Path, predict: Predict) -> Iterator[Replayed]:
    """Asks a server the golden requests of a version, one request a call.

    Args:
        folder: A version's folder, or a model's, of which the newest is meant.
        predict: From signature and inputs to outputs, e.g. a client's.

    Yields:
        What came of each signature, as soon as it is through.

    Raises:
        TfmmError: If the version has no golden requests, or the server fails.
    """
    golden = list(read_golden(version_folder(folder)))
    if not golden:
        raise TfmmError(
            f"`{folder}` has no golden requests. Export it again with this tfmm."
        )
    for found in golden:
        yield _asked(found, predict)


def model_name(folder: str | Path) -> str:
    """The name a version was exported under."""
    return str(read_facts(version_folder(folder))["model"])


def _asked(golden: Answered, predict: Predict) -> Replayed:
    largest, taken = 0.0, []
    for found in alone(golden):
        began = time.perf_counter()
        answer = predict(found.call.signature, found.call.inputs)
        taken.append(1000 * (time.perf_counter() - began))
        largest = max(largest, _difference(answer, found.outputs))
    return Replayed(golden.call.signature, len(taken), largest, np.array(taken))


def _difference(
    answer: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> float:
    if not set(expected) <= set(answer):
        return float("inf")
    # REST has no bytes: texts come back as str.
    answer = {name: _texts(np.asarray(value)) for name, value in answer.items()}
    expected = {name: _texts(np.asarray(value)) for name, value in expected.items()}
    left = cut_to(answer, expected)
    right = cut_to(expected, left)
    return max((difference(left[n], right[n]) for n in right), default=0.0)


def _texts(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "OUS":
        return values
    found = np.empty(values.size, object)
    found[:] = [v.decode() if isinstance(v, bytes) else str(v) for v in values.flat]
    return found.reshape(values.shape)
