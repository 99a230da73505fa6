"""What a server counts, in Prometheus' text format and by TF Serving's names."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

from tfmm.serving.status import StatusError

PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Microseconds, as TF Serving's: 10 times powers of 1.8.
BOUNDS = tuple(10 * 1.8**power for power in range(33))
_PREFIX = ":tensorflow:serving:"
Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(BOUNDS, value)] += 1
        self.total += value


class Metrics:
    """Counters and histograms of one server; safe to use from many threads.

    Example:
        >>> metrics = Metrics()
        >>> with metrics.request("ranker", "REST"):
        ...     pass
        >>> metrics.text().splitlines()[1]
        ':tensorflow:serving:request_count{model_name="ranker",status="OK"} 1'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, Labels], int] = {}
        self._histograms: dict[tuple[str, Labels], _Histogram] = {}

    def count(self, name: str, **labels: str) -> None:
        """Adds one to a counter."""
        key = name, tuple(labels.items())
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Adds a duration to a histogram of microseconds."""
        key = name, tuple(labels.items())
        with self._lock:
            self._histograms.setdefault(key, _Histogram()).add(1e6 * seconds)

    @contextmanager
    def request(self, model: str, entrypoint: str) -> Iterator[None]:
        """Counts a predict request and, if it is served, how long it took.

        Args:
            model: Name of a model that is served; `""` for any other, so that clients
                cannot make the list of names grow.
            entrypoint: `"REST"` or `"GRPC"`.
        """
        began, status = time.perf_counter(), "OK"
        try:
            yield
        except StatusError as error:
            status = error.code
            raise
        except BaseException:
            status = "INTERNAL"
            raise
        finally:
            self.count("request_count", model_name=model, status=status)
            if status == "OK":
                labels = {"API": "Predict", "entrypoint": entrypoint}
                taken = time.perf_counter() - began
                self.observe("request_latency", taken, model_name=model, **labels)

    def text(self) -> str:
        """All of it, in Prometheus' text format."""
        with self._lock:
            counts = sorted(self._counts.items())
            histograms = [
                (key, list(found.counts), found.total)
                for key, found in sorted(self._histograms.items())
            ]
        lines: list[str] = []
        told: set[str] = set()
        for (name, labels), count in counts:
            lines += _type(name, "counter", told)
            lines.append(f"{_PREFIX}{name}{_labels(labels)} {count}")
        for (name, labels), parts, total in histograms:
            lines += _type(name, "histogram", told)
            lines += _histogram_lines(name, labels, parts, total)
        return "".join(f"{line}\n" for line in lines)


def _type(name: str, kind: str, told: set[str]) -> list[str]:
    if name in told:
        return []
    told.add(name)
    return [f"# TYPE {_PREFIX}{name} {kind}"]


def _histogram_lines(
    name: str, labels: Labels, parts: list[int], total: float
) -> Iterator[str]:
    below = 0
    for bound, count in zip((*BOUNDS, "+Inf"), parts, strict=True):
        below += count
        text = bound if isinstance(bound, str) else f"{bound:g}"
        yield f"{_PREFIX}{name}_bucket{_labels((*labels, ('le', text)))} {below}"
    yield f"{_PREFIX}{name}_sum{_labels(labels)} {total:g}"
    yield f"{_PREFIX}{name}_count{_labels(labels)} {below}"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(v)}"' for name, v in labels) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
