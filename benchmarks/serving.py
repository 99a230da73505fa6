"""A served ranker: one user, 500 candidates, 1,000 behaviours, vectors of length 128.

    python -m benchmarks.serving [--size smoke] [--seconds 60]

The ranker is MUSE's: the 1,000 behaviours are searched for the 50 most similar to each
candidate, beside attention and SimTier over the newest 50. It is exported, and served
by the embedded server in a process of its own on loopback.

* `rank` in this process on ready tensors, and asked over gRPC and REST with ready
  requests, in turn: what is above the bare signature is the server. Then by `Client`,
  which makes the request and reads the answer in Python.
* The same candidates the flat way, `rank_flat`: the user sent and computed 500 times.
* 16 clients at once for a minute: answers a second, failures, the server's memory.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc

from benchmarks import serving_data as made
from benchmarks.bounds import Bounds
from tfmm.export.graph import load_saved_model
from tfmm.export.warmup import Call, request_of
from tfmm.serving import Client
from tfmm.serving.client_values import to_json

OVERHEAD_MS, FLAT_TIMES, GROWTH_MIB = 2.0, 20.0, 50.0
CLIENTS = 16
_SERVE = (
    "import sys; from tfmm.serving import serve; from tfmm.serving.server import *;"
    "serve(sys.argv[1], rest_api_port=0, grpc_port=free_port(),"
    " ready=lambda s: print(s.rest_port, s.grpc_port, flush=True))"
)


@dataclass(frozen=True)
class Size:
    """Args:
    items: Items of the catalog.
    candidates: N.
    history: L.
    rounds: Measured calls of each way.
    flat_rounds: Of the flat way.
    """

    items: int
    candidates: int
    history: int
    rounds: int
    flat_rounds: int


SIZES = {
    "smoke": Size(500, 20, 30, 5, 2),
    "standard": Size(100_000, 500, 1000, 300, 5),
}


class Served:
    """A server in a process of its own, and how to reach it."""

    def __init__(self, process: subprocess.Popen, rest: int, grpc_port: int) -> None:
        self._status = Path(f"/proc/{process.pid}/status")
        self.rest, self.grpc = rest, grpc_port

    @property
    def memory(self) -> float:
        """Resident MiB."""
        lines = (line.split(":", 1) for line in self._status.read_text().splitlines())
        return int(dict(lines)["VmRSS"].split()[0]) / 1024


@contextmanager
def served(base: Path) -> Iterator[Served]:
    """The server, ended afterwards."""
    command = [sys.executable, "-c", _SERVE, str(base)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        rest, port = map(int, process.stdout.readline().split())
        yield Served(process, rest, port)
    finally:
        process.terminate()
        process.wait(30)


def bare(folder: Path, signature: str, inputs: Any) -> Callable[[], Any]:
    """A signature of a loaded SavedModel on ready tensors."""
    function = load_saved_model(folder).signatures[signature]
    dtypes = function.structured_input_signature[1]
    tensors = {k: tf.constant(v, dtypes[k].dtype) for k, v in inputs.items()}
    return lambda: function(**tensors)["score"].numpy()


def over_grpc(
    port: int, inputs: Any, signature: str = "rank"
) -> tuple[Callable[[], Any], int]:
    """A ready PredictRequest over a channel of its own, and its bytes."""
    request = request_of(made.MODEL, Call(signature, inputs))
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return lambda: stub.Predict(request), request.ByteSize()


def over_rest(port: int, inputs: Any) -> tuple[Callable[[], Any], int]:
    """A ready JSON body over a connection of its own, and its bytes."""
    columns = {name: to_json(value) for name, value in inputs.items()}
    body = json.dumps({"signature_name": "rank", "inputs": columns}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask() -> bytes:
        connection.request("POST", f"/v1/models/{made.MODEL}:predict", body)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(answer)
        return answer

    return ask, len(body)


def milliseconds(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """How long each call took, the ways in turn."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():
        run()
    for _ in range(rounds):
        for name, run in ways.items():
            began = time.perf_counter()
            run()
            found[name].append(1000 * (time.perf_counter() - began))
    return {name: np.array(values) for name, values in found.items()}


def latency(size: Size, folder: Path, server: Served, bounds: Bounds) -> None:
    """Prints latency by way, the server's part and what the flat way costs."""
    inputs = made.request(size.items, size.candidates, size.history)
    ask_grpc, grpc_bytes = over_grpc(server.grpc, inputs)
    ask_rest, rest_bytes = over_rest(server.rest, inputs)
    with (
        Client(f"grpc://127.0.0.1:{server.grpc}") as by_grpc,
        Client(f"http://127.0.0.1:{server.rest}") as by_rest,
    ):
        ways = {
            "in process": bare(folder, "rank", inputs),
            "gRPC": ask_grpc,
            "REST": ask_rest,
            "Client, gRPC": lambda: by_grpc.predict(made.MODEL, inputs, "rank"),
            "Client, REST": lambda: by_rest.predict(made.MODEL, inputs, "rank"),
        }
        found = milliseconds(ways, size.rounds)
    sizes = {"gRPC": grpc_bytes, "REST": rest_bytes}
    print(f"{'rank':<14}{'p50 ms':>10}{'p99 ms':>10}{'bytes':>12}")
    for name, taken in found.items():
        p50, p99 = np.percentile(taken, [50, 99])
        text = f"{sizes[name]:,}" if name in sizes else ""
        print(f"{name:<14}{p50:>10.1f}{p99:>10.1f}{text:>12}")
    middle = {name: float(np.median(taken)) for name, taken in found.items()}
    for name in ("gRPC", "REST"):
        over = middle[name] - middle["in process"]
        verdict = bounds.check(over, OVERHEAD_MS, " ms")
        print(f"the server over {name} adds {over:.2f} ms at p50, {verdict}")
    flat_way(size, folder, server, middle, bounds)


def flat_way(
    size: Size, folder: Path, server: Served, middle: dict[str, float], bounds: Bounds
) -> None:
    """Prints what the same candidates cost with the user sent for each.

    The verdict is on what a caller waits for. In process the two do the same work
    between candidates and history; what is sent and looked up for each is all that
    `rank` saves there.
    """
    inputs = made.flat(made.request(size.items, size.candidates, size.history))
    ask, sent = over_grpc(server.grpc, inputs, "rank_flat")
    ways = {"in process": bare(folder, "rank_flat", inputs), "gRPC": ask}
    for name, taken in milliseconds(ways, size.flat_rounds).items():
        times = float(np.median(taken)) / middle[name]
        verdict = bounds.check_least(times, FLAT_TIMES) if name == "gRPC" else ""
        size_text = f", {sent:,} bytes" if name == "gRPC" else ""
        print(
            f"the flat way, {name}: {np.median(taken):,.0f} ms{size_text}, "
            f"{times:.0f} times as long{verdict and ', ' + verdict}"
        )


def throughput(size: Size, server: Served, seconds: float, bounds: Bounds) -> None:
    """Prints what many clients get at once, and what it costs the server."""
    inputs = made.request(size.items, size.candidates, size.history)
    for name, port, make in (
        ("gRPC", server.grpc, over_grpc),
        ("REST", server.rest, over_rest),
    ):
        asks = [make(port, inputs)[0] for _ in range(CLIENTS)]
        for ask in asks:
            ask()
        before, began = server.memory, time.perf_counter()
        answers, failures = _all_at_once(asks, seconds)
        rate = answers / (time.perf_counter() - began)
        grown = server.memory - before
        failed = bounds.check(failures, 0)
        verdict = bounds.check(grown, GROWTH_MIB, " MiB")
        print(
            f"{CLIENTS} clients over {name} for {seconds:.0f} s: {rate:.1f} answers/s, "
            f"{failures} failures, {failed}; memory {before:,.0f} MiB, {grown:+.0f}, "
            f"{verdict}"
        )


def _all_at_once(asks: Sequence[Callable[[], Any]], seconds: float) -> tuple[int, int]:
    end = time.perf_counter() + seconds
    counts = [[0, 0] for _ in asks]

    def repeat(ask: Callable[[], Any], count: list[int]) -> None:
        while time.perf_counter() < end:
            try:
                ask()
                count[0] += 1
            except Exception:
                count[1] += 1

    threads = [
        threading.Thread(target=repeat, args=pair)
        for pair in zip(asks, counts, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers, failures = map(sum, zip(*counts, strict=True))
    return answers, failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; 1 if a bound is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args(arguments)
    size, bounds = SIZES[chosen.size], Bounds(judged=chosen.size == "standard")
    with tempfile.TemporaryDirectory() as base:
        folder = made.export(
            Path(base), size.items, size.candidates, size.history, ["rank_flat"]
        )
        with served(Path(base)) as server:
            latency(size, folder, server, bounds)
            throughput(size, server, chosen.seconds, bounds)
    return bounds.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
