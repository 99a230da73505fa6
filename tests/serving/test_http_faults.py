"""What clients may do to a connection, and what they get for it."""

import contextlib
import gzip
import json
import socket
import struct
import threading
import time

import numpy as np
import pytest

from tfmm.serving.config import ModelConfig
from tfmm.serving.http import RestServer
from tfmm.serving.versions import ModelManager

SECONDS = 0.4
BODY = b'{"inputs": [1, 2.5]}'
ANSWER = {"outputs": [2.0, 5.0]}
LARGE = 2_000_000


class Doubler:
    """Doubles; for -1 it waits to be let go, for -2 its answer is large."""

    def __init__(self, folder):
        self.go = threading.Event()
        self.waiting = threading.Event()

    def dtypes(self, signature):
        return {"x": "float32"}

    def run(self, signature, inputs):
        (first, *_) = inputs["x"]
        if first == -1:
            self.waiting.set()
            assert self.go.wait(10)
        if first == -2:
            return {"y": np.ones(LARGE, np.float32)}
        return {"y": 2 * inputs["x"]}


@pytest.fixture
def server(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    manager = ModelManager(lambda: {"m": ModelConfig("m", tmp_path)}, Doubler)
    manager.poll()
    bounds = {"max_body_bytes": 1000, "max_connections": 4, "request_seconds": SECONDS}
    running = RestServer(("127.0.0.1", 0), **bounds)
    running.open(manager)
    thread = threading.Thread(target=running.run)
    thread.start()
    yield running
    if thread.is_alive():
        running.close(grace=0)
    thread.join()


@pytest.fixture
def connect(server):
    """Opens connections; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def connect():
            return stack.enter_context(
                socket.create_connection(server.server_address, timeout=10)
            )

        yield connect


def post(body=BODY, *headers, length=None):
    lines = [
        "POST /v1/models/m:predict HTTP/1.1",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
        "\r\n",
    ]
    return "\r\n".join(lines).encode() + body


def read(connection):
    """(HTTP code, parsed body, headers) of the next answer."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"closed after {head!r}"
        head += byte
    first, *lines = head.decode().split("\r\n")[:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    length, body = int(headers["Content-Length"]), b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return int(first.split()[1]), json.loads(body) if body else None, headers


def closed(connection):
    """Whether the server has closed it, with nothing more to read."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def answers(connect):
    connection = connect()
    connection.sendall(post())
    return read(connection)[:2] == (200, ANSWER)


def drip(connection, data):
    """A byte at a time, for longer than a request may take."""
    with contextlib.suppress(OSError):
        for place in range(60):
            connection.sendall(data[place : place + 1])
            time.sleep(SECONDS / 10)


@pytest.mark.parametrize(
    ("at_once", "slowly"),
    [
        pytest.param(post(b"", length=900), b"{" * 60, id="body"),
        pytest.param(b"POST /v1/mod", b"e" * 60, id="request line"),
        pytest.param(b"GET /v1/models/m HTTP/1.1\r\nA: ", b"a" * 60, id="header"),
        pytest.param(
            b"POST /v1/models/m:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\na\r\n" * 10,
            id="chunks",
        ),
    ],
)
def test_a_byte_now_and_then_is_cut_off(connect, at_once, slowly):
    connection = connect()
    connection.sendall(at_once)
    start = time.monotonic()
    thread = threading.Thread(target=drip, args=(connection, slowly))
    thread.start()
    code, answer, headers = read(connection)
    assert SECONDS <= time.monotonic() - start < 5 * SECONDS
    assert code == 408 and "longer than 0.4 seconds" in answer["error"]
    assert headers["Connection"] == "close"
    thread.join()
    assert answers(connect)


def test_an_idle_connection_is_no_slow_request(connect):
    connection = connect()
    for _ in range(2):
        time.sleep(1.5 * SECONDS)
        connection.sendall(post())
        assert read(connection)[0] == 200


def test_a_client_that_takes_no_answer_is_dropped(server, connect):
    connection = connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(post(b'{"inputs": [-2]}'))
    wait_for(lambda: any(server.connections._busy.values()))
    wait_for(lambda: not server.connections._busy)
    assert answers(connect)


@pytest.mark.parametrize("sent", [b"POST /v1", post(b"{", length=900)])
def test_a_client_that_goes_away(server, connect, sent):
    half = connect()
    half.sendall(sent)
    half.shutdown(socket.SHUT_WR)
    gone = connect()
    gone.sendall(sent)
    # A reset instead of an orderly end.
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.close()
    wait_for(lambda: not server.connections._busy)
    assert answers(connect)


def test_a_client_that_goes_away_before_its_answer(server, connect):
    model = server.manager.get("m")[1]
    gone = connect()
    gone.sendall(post(b'{"inputs": [-1]}'))
    assert model.waiting.wait(10)
    gone.close()
    model.go.set()
    wait_for(lambda: not server.connections._busy)
    assert answers(connect)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"POST /v1/models/m:predict\r\n\r\n", 400),
        (b"GET / FTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * 200 + b"\r\n", 431),
        (post(b"", length="x"), 400),
        (post(b"", length=-1), 400),
        (post(b"", length="1" * 5000), 400),
        (post(b"", "Content-Length: 7"), 400),
        (post(b"", "Transfer-Encoding: chunked"), 400),
        (post(b"", length=1001), 413),
        (post(b"x" * 5000), 413),
        (post(gzip.compress(b" " * 5000), "Content-Encoding: gzip"), 413),
        (post(gzip.compress(BODY)[:-4], "Content-Encoding: gzip"), 400),
        (post(b"", "Content-Encoding: gzip"), 400),
    ],
    ids=range(19),
)
def test_what_is_no_request_is_refused_and_the_connection_closed(connect, sent, code):
    connection = connect()
    connection.sendall(sent)
    found, answer, headers = read(connection)
    assert found == code and answer["error"]
    assert headers["Content-Type"] == "application/json"
    assert headers["Connection"] == "close" and closed(connection)
    assert answers(connect)


CHUNKED = b"POST /v1/models/m:predict HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        (b"a\r\n" + BODY[:10] + b"\r\nA;x=y\r\n" + BODY[10:] + b"\r\n0\r\n\r\n", 200),
        (
            b"a\r\n" + BODY[:10] + b"\r\na\r\n" + BODY[10:] + b"\r\n0\r\nT: t\r\n\r\n",
            200,
        ),
        (b"zz\r\n", 400),
        (b"\r\n", 400),
        (b"-1\r\n", 400),
        (b"f" * 5000 + b"\r\n", 400),
        (b"1\r\nab\r\n0\r\n\r\n", 400),
        (b"3e9\r\n", 413),
    ],
)
def test_chunked_bodies(connect, chunks, code):
    connection = connect()
    connection.sendall(CHUNKED + chunks)
    assert read(connection)[0] == code
    assert code == 200 or closed(connection)


def test_pipelined_requests_are_answered_in_turn(connect):
    connection = connect()
    connection.sendall(post() + post(b"{") + post() + b"nonsense\r\n\r\n" + post())
    found = [read(connection)[0] for _ in range(4)]
    assert found == [200, 400, 200, 400] and closed(connection)


def test_a_content_length_that_is_too_short(connect):
    connection = connect()
    connection.sendall(post(length=5))
    assert read(connection)[0] == 400
    # The rest of the body is read as a request, and is none.
    connection.sendall(b"\r\n")
    assert read(connection)[0] == 400 and closed(connection)


def test_a_content_length_that_is_too_long(connect):
    connection = connect()
    connection.sendall(post(length=len(BODY) + 1))
    assert read(connection)[0] == 408 and closed(connection)


def test_a_client_is_told_to_go_on(connect):
    connection = connect()
    head, body = post(BODY, "Expect: 100-continue").split(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(body)
    assert read(connection)[:2] == (200, ANSWER)


def test_head_and_old_clients(connect):
    connection = connect()
    connection.sendall(b"GET /v1/models/m HTTP/1.0\r\n\r\n")
    code, _, headers = read(connection)
    assert code == 200 and headers["Connection"] == "close" and closed(connection)
    connection = connect()
    connection.sendall(b"HEAD /v1/models/m HTTP/1.1\r\nConnection: close\r\n\r\n")
    text = connection.recv(1000)
    assert text.startswith(b"HTTP/1.1 400 ") and text.endswith(b"\r\n\r\n")


def test_too_many_connections_are_refused_and_later_taken(server, connect):
    many = [connect() for _ in range(4)]
    for connection in many:
        connection.sendall(post())
        assert read(connection)[0] == 200
    for _ in range(3):
        refused = connect()
        refused.sendall(post())
        code, answer, _ = read(refused)
        assert code == 503 and "Too many connections" in answer["error"]
        assert closed(refused)
    many[0].close()
    wait_for(lambda: len(server.connections._busy) == 3)
    assert answers(connect)
    for connection in many[1:]:
        connection.sendall(post())
        assert read(connection)[0] == 200


def test_closing_lets_an_answer_out_and_ends_the_idle(server, connect):
    idle, working = connect(), connect()
    model = server.manager.get("m")[1]
    working.sendall(post(b'{"inputs": [-1]}'))
    assert model.waiting.wait(10)
    wait_for(lambda: len(server.connections._busy) == 2)
    closing = threading.Thread(target=server.close, args=(10,))
    closing.start()
    assert closed(idle)
    with pytest.raises(ConnectionRefusedError):
        connect()
    assert closing.is_alive()
    model.go.set()
    code, answer, headers = read(working)
    assert (code, answer) == (200, {"outputs": [-2.0]})
    assert headers["Connection"] == "close" and closed(working)
    closing.join(10)
    assert not closing.is_alive()


def test_closing_waits_no_longer_than_its_grace(server, connect):
    working = connect()
    model = server.manager.get("m")[1]
    working.sendall(post(b'{"inputs": [-1]}'))
    assert model.waiting.wait(10)
    start = time.monotonic()
    server.close(grace=0.2)
    assert 0.2 <= time.monotonic() - start < 2
    assert closed(working)
    model.go.set()
