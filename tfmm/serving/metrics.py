"""What a server counts and times, in Prometheus' text format."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

from tfmm.serving.status import StatusError

CONTENT_TYPE = "text/plain"
_MICROSECONDS = 1e6
# TF Serving's: 10 us, then 1.8 times more, up to 20 minutes.
_BOUNDS = tuple(10 * 1.8**power for power in range(33))


class Counter:
    """A number of events by labels; safe to count from many threads.

    Args:
        name: The metric's name.
        labels: Names of its labels.

    Example:
        >>> count = Counter("calls", ("model",))
        >>> count.add("ranker")
        >>> list(count.lines())
        ['# TYPE calls counter', 'calls{model="ranker"} 1']
    """

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self._name = name
        self._labels = labels
        self._values: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def add(self, *labels: str, by: int = 1) -> None:
        """Counts events of these labels' values."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + by

    def lines(self) -> Iterator[str]:
        """The metric in Prometheus' text format."""
        with self._lock:
            values = sorted(self._values.items())
        yield f"# TYPE {self._name} counter"
        for labels, value in values:
            yield f"{self._name}{{{_labelled(self._labels, labels)}}} {value}"


class Histogram:
    """How microseconds spread over buckets, by labels; safe for many threads.

    Args:
        name: The metric's name.
        labels: Names of its labels.
    """

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self._name = name
        self._labels = labels
        self._values: dict[tuple[str, ...], tuple[list[int], float]] = {}
        self._lock = threading.Lock()

    def add(self, *labels: str, seconds: float) -> None:
        """Adds one duration under these labels' values."""
        duration = seconds * _MICROSECONDS
        place = bisect_left(_BOUNDS, duration)
        with self._lock:
            empty = [0] * (len(_BOUNDS) + 1), 0.0
            counts, total = self._values.get(labels, empty)
            counts[place] += 1
            self._values[labels] = counts, total + duration

    def lines(self) -> Iterator[str]:
        """The metric in Prometheus' text format."""
        with self._lock:
            values = [(k, list(c), s) for k, (c, s) in sorted(self._values.items())]
        yield f"# TYPE {self._name} histogram"
        ends = [*(f"{bound:g}" for bound in _BOUNDS), "+Inf"]
        for labels, counts, total in values:
            shown = _labelled(self._labels, labels)
            for end, count in zip(ends, accumulate(counts), strict=True):
                yield f'{self._name}_bucket{{{shown},le="{end}"}} {count}'
            yield f"{self._name}_sum{{{shown}}} {total:.0f}"
            yield f"{self._name}_count{{{shown}}} {sum(counts)}"


class Metrics:
    """The metrics of one server, under TF Serving's names."""

    def __init__(self) -> None:
        served = ":tensorflow:serving:"
        loaded = ":tensorflow:cc:saved_model:"
        calls = ("model_name", "API", "entrypoint")
        self.requests = Counter(f"{served}request_count", ("model_name", "status"))
        self.latency = Histogram(f"{served}request_latency", calls)
        self.runtime = Histogram(
            f"{served}runtime_latency", ("model_name", "API", "runtime")
        )
        self.warmup = Histogram(
            f"{served}model_warmup_latency", ("model_path", "status")
        )
        self.loads = Counter(f"{loaded}load_attempt_count", ("model_path", "status"))
        self.load_latency = Counter(f"{loaded}load_latency", ("model_path",))

    @contextmanager
    def request(self, model: str, entrypoint: str) -> Iterator[None]:
        """Counts and times one predict request.

        Args:
            model: The model's name.
            entrypoint: `"REST"` or `"GRPC"`.
        """
        start, status = time.perf_counter(), "INTERNAL"
        try:
            yield
            status = "OK"
        except StatusError as error:
            status = error.code
            raise
        finally:
            self.requests.add(model, status)
            seconds = time.perf_counter() - start
            self.latency.add(model, "Predict", entrypoint, seconds=seconds)

    @contextmanager
    def run(self, model: str) -> Iterator[None]:
        """Times one run of a model's graph."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.runtime.add(model, "Predict", "TF1", seconds=seconds)

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        metrics = vars(self).values()
        lines = [line for metric in metrics for line in metric.lines()]
        return ("\n".join(lines) + "\n").encode()


def _labelled(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = zip(names, map(_escaped, values), strict=True)
    return ",".join(f'{name}="{value}"' for name, value in pairs)


def _escaped(value: str) -> str:
    value = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return value.encode("utf-8", "replace").decode()
