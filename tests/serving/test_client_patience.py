"""Servers that are busy, slow, broken or late: what the client does about them."""

import http.server
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from tfmm.errors import TfmmError
from tfmm.serving import Client, DeadlineExceeded, ServerError, Unavailable


class Flaky(http.server.BaseHTTPRequestHandler):
    """Answers what it is told to, one answer a request."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[list] = []
    asked: ClassVar[list] = []
    peers: ClassVar[set] = set()

    def do_GET(self):
        self.asked.append(self.path)
        self.peers.add(self.client_address)
        answer = self.answers.pop(0)
        if answer == "hang up":
            self.close_connection = True
            return
        if answer == "wait":
            time.sleep(1)
            answer = 503
        if answer == "drip":
            self.send(200, [b"{", *[b" "] * 40, b"}"], pause=0.05)
        elif answer == "half":
            self.send(200, [b"{"], length=2)
            self.close_connection = True
        elif isinstance(answer, bytes):
            self.send(502, [answer])
        else:
            done = {"model_version_status": []} if answer == 200 else {"error": "busy"}
            self.send(answer, [json.dumps(done).encode()])

    def send(self, code, parts, length=None, pause=0.0):
        self.send_response(code)
        self.send_header("Content-Length", str(length or sum(map(len, parts))))
        self.end_headers()
        for part in parts:
            try:
                self.wfile.write(part)
            except OSError:  # The client has gone.
                return
            time.sleep(pause)

    def log_message(self, *_):
        pass


@pytest.fixture
def flaky():
    Flaky.asked.clear()
    Flaky.peers.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky) as server:
        thread = threading.Thread(
            target=server.serve_forever, args=(0.01,), daemon=True
        )
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    "answers",
    [[503, 429, 200], ["hang up", 200], ["half", 200], [b"<html>", 200], [200]],
)
def test_busy_and_broken_servers_are_asked_again(flaky, answers):
    Flaky.answers[:] = answers
    assert Client(flaky).status("m") == []
    assert len(Flaky.asked) == len(answers)


@pytest.mark.parametrize("answer", [400, 404, 500, 501])
def test_a_refusal_is_not_repeated(flaky, answer):
    Flaky.answers[:] = [answer] * 3
    with pytest.raises(ServerError, match="busy") as error:
        Client(flaky).status("m")
    assert error.value.code == answer and len(Flaky.asked) == 1


def test_repetitions_end(flaky):
    Flaky.answers[:] = [503] * 9
    with pytest.raises(Unavailable, match="busy"):
        Client(flaky, retries=1).status("m")
    assert len(Flaky.asked) == 2


@pytest.mark.parametrize("answer", ["wait", "drip"])
def test_all_repetitions_share_one_deadline(flaky, answer):
    Flaky.answers[:] = [answer] * 9
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="did not answer within"):
        Client(flaky, timeout=0.3, retries=9).status("m")
    assert time.monotonic() - began < 0.9


def test_connections_are_kept(flaky):
    Flaky.answers[:] = [200, 503, 200, 200]
    with Client(flaky) as client:
        for _ in range(3):
            client.status("m")
    assert len(Flaky.asked) == 4 and len(Flaky.peers) == 1


def test_threads_that_end_leave_their_connection_to_others(flaky):
    Flaky.answers[:] = [200] * 5
    client = Client(flaky)
    for _ in range(5):
        thread = threading.Thread(target=client.status, args=("m",))
        thread.start()
        thread.join()
    assert len(Flaky.asked) == 5 and len(Flaky.peers) == 1


def test_a_forked_process_opens_its_own_connection(flaky, monkeypatch):
    Flaky.answers[:] = [200] * 3
    client = Client(flaky)
    client.status("m")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    client.status("m")
    client.status("m")
    assert len(Flaky.peers) == 2


def test_what_answers_but_is_no_model_server(flaky):
    Flaky.answers[:] = [b"<html>"]
    with pytest.raises(Unavailable, match=r"is no model server. Received: HTTP 502"):
        Client(flaky, retries=0).status("m")


@pytest.mark.parametrize("arguments", [{"timeout": 0}, {"retries": -1}])
def test_times_and_repetitions_that_are_none(arguments):
    with pytest.raises(TfmmError, match="timeout > 0, retries >= 0"):
        Client("http://127.0.0.1:1", **arguments)


def test_grpc_finds_a_server_that_starts_late():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    class Models(model_service_pb2_grpc.ModelServiceServicer):
        def GetModelStatus(self, request, context):
            return get_model_status_pb2.GetModelStatusResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    threading.Timer(0.3, server.start).start()
    assert Client(f"grpc://127.0.0.1:{port}", retries=6).status("m") == []
    server.stop(None)


def test_a_busy_grpc_server_is_told_from_none():
    class Models(model_service_pb2_grpc.ModelServiceServicer):
        def GetModelStatus(self, request, context):
            context.abort(grpc.StatusCode.UNAVAILABLE, "Batch scheduling queue is full")

    server = grpc.server(ThreadPoolExecutor(1))
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with pytest.raises(Unavailable, match=r"^Batch scheduling queue is full$") as error:
        Client(f"grpc://127.0.0.1:{port}", retries=1).status("m")
    assert error.value.code == 503
    server.stop(None)
