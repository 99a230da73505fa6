"""What must not bring a server down: bad bodies, lost clients, new versions."""

import contextlib
import http.client
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from serving import conformance

from tfmm.serving import Client, InvalidArgument, Server
from tfmm.serving.http import RestServer

BODIES = 10_000
VALID = b'{"signature_name": "two", "inputs": {"a": [1.5, 2], "b": ["p", "q"]}}'


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    conformance.save(folder / "1")
    return folder / "1"


@pytest.fixture
def base(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "rules" / "1")
    return tmp_path


@pytest.fixture
def server(base):
    ports = {"rest_api_port": 0, "grpc_port": 0}
    with Server(base, poll_seconds=0.05, max_body_bytes=100_000, **ports) as running:
        yield running


def memory():
    """Resident MiB of this process, which the server runs in."""
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmRSS"].split()[0]) / 1024


def malformed(draw):
    """A body that no signature takes: a valid one cut, changed or of other types."""
    kind = draw.randrange(5)
    if kind == 0:
        return VALID[: draw.randrange(len(VALID) - 1)]
    if kind == 1:
        return draw.randbytes(draw.randrange(200))
    if kind == 2:
        wrong = draw.choice(["1", '"x"', "null", "[[1],[1,2]]", "{}", "[{}]", "-"])
        return b'{"signature_name": "two", "inputs": {"a": %s}}' % wrong.encode()
    if kind == 3:
        return b"[" * draw.randrange(1, 5000) + b"]" * draw.randrange(5000)
    key = draw.choice(["input", "instance", "signature_name", "é", "\\u0000"])
    return json.dumps({key: draw.choice([1, [], None, "x" * 1000])}).encode()


@pytest.mark.slow
def test_ten_thousand_malformed_bodies(server):
    draw = random.Random(0)
    rest = conformance.Rest(server.rest_port)
    before = 0.0
    for number in range(BODIES):
        code, answer = rest.predict(malformed(draw))
        assert 400 <= code < 500 and answer["error"]
        if number == BODIES // 10:
            before = memory()
    assert memory() - before < 30
    assert rest.predict(VALID)[0] == 200


def test_oversized_bodies_are_refused_before_they_arrive(server):
    rest = conformance.Rest(server.rest_port)
    code, answer = rest.predict(b" " * 200_000)
    assert code == 413 and "200000 > 100000" in answer["error"]
    assert rest.predict(VALID)[0] == 200


def raw(server, data, wait=True):
    """What a server sends back for these very bytes."""
    port = server.rest_port if isinstance(server, Server) else server
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        found = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while wait and (part := connection.recv(65536)):
                found += part
        return found


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00 a TLS hello\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/models/rules:predict HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/models/rules:predict HTTP/1.1\r\nContent-Length: 2\r\n"
        b"Connection: close\r\n\r\n{}and more\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
def test_what_is_no_http_is_refused(server, data):
    answer = raw(server, data)
    # Who speaks no HTTP of our time is answered without a head.
    head = answer if answer.startswith(b"<!DOCTYPE") else answer[:20]
    assert not answer or b" 4" in head or b" 5" in head
    assert conformance.Rest(server.rest_port).predict(VALID)[0] == 200


def test_a_client_that_goes_away_costs_nothing(server):
    head = b"POST /v1/models/rules:predict HTTP/1.1\r\nContent-Length: 500\r\n\r\n"
    for _ in range(50):
        raw(server, head + b"{", wait=False)
    rest = conformance.Rest(server.rest_port)
    assert rest.predict(VALID)[0] == 200
    names = [t.name for t in threading.enumerate()]
    end = time.monotonic() + 10
    while sum("process_request" in name for name in names) > 3:
        assert time.monotonic() < end
        time.sleep(0.05)
        names = [t.name for t in threading.enumerate()]


class Nothing:
    """A manager of no models."""


@pytest.fixture
def small():
    """A server without models: few connections, and little patience."""
    found = RestServer(("127.0.0.1", 0), body_seconds=0.3, max_connections=2)
    found.open(Nothing())
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found.server_address[1]
    found.shutdown()
    found.server_close()


def test_a_body_that_trickles_in_is_cut_off(small):
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nContent-Length: 500\r\n\r\n"
    with socket.create_connection(("127.0.0.1", small), 10) as connection:
        connection.sendall(head)
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - began < 5:
                connection.sendall(b" ")
                time.sleep(0.05)
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    if answer := connection.recv(4096):
                        break
                connection.setblocking(True)
        assert time.monotonic() - began < 3
    assert b" 408 " in answer and b"more than 0.3 seconds" in answer


def test_too_many_connections_are_told_so(small):
    held = [socket.create_connection(("127.0.0.1", small), 10) for _ in range(2)]
    time.sleep(0.2)
    assert b" 503 " in raw(small, b"")
    for connection in held:
        connection.close()


def in_the_background(count, work):
    """Threads that repeat work until told to stop; what they met with."""
    stop, failed, done = threading.Event(), [], []

    def repeat():
        while not stop.is_set():
            try:
                done.append(work())
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=repeat) for _ in range(count)]
    for thread in threads:
        thread.start()

    def end():
        stop.set()
        for thread in threads:
            thread.join()
        return failed, done

    return end


def publish(model, number, damage=None):
    shutil.copytree(model / "1", model / "draft")
    if damage:
        damage(model / "draft")
    (model / "draft").rename(model / str(number))


def test_versions_are_swapped_under_load(base, server):
    client = Client(server.url, retries=0)
    inputs = {"x": np.float32([1, 2])}

    def ask():
        assert client.predict("rules", inputs)["y"].tolist() == [2.5, 3.0]
        return client.status("rules")[0]["version"]

    end = in_the_background(4, ask)
    for number in (2, 3):
        publish(base / "rules", number)
        wait_for(
            lambda n=number: (
                client.status("rules")[0]["state"] == "AVAILABLE"
                and client.status("rules")[0]["version"] == str(n)
            )
        )
    failed, done = end()
    assert not failed and {"1", "2", "3"} & set(done) and len(done) > 20


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "saved_model.pb").write_bytes(b"broken"),
        lambda folder: (folder / "saved_model.pb").write_bytes(b""),
        lambda folder: cut_short(folder / "saved_model.pb"),
    ],
)
def test_a_broken_version_leaves_the_old_one_serving(base, server, damage):
    client = Client(server.url, retries=0)
    inputs = {"x": np.float32([1])}
    end = in_the_background(2, lambda: client.predict("rules", inputs)["y"].tolist())
    publish(base / "rules", 2, damage)
    wait_for(lambda: client.status("rules")[0]["state"] == "END")
    failed, done = end()
    assert not failed and done
    newest, old = client.status("rules")
    assert newest["status"]["error_code"] != "OK" and newest["status"]["error_message"]
    assert (old["version"], old["state"]) == ("1", "AVAILABLE")


def cut_short(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_a_request_outlives_its_version(base, server):
    client, found = Client(server.url, retries=0), []
    inputs = {"x": np.float32([1.0])}
    client.predict("rules", inputs, "slow")
    thread = threading.Thread(
        target=lambda: found.append(client.predict("rules", inputs, "slow"))
    )
    thread.start()
    time.sleep(0.1)
    manager = server.manager
    manager._versions["rules"] = {}
    with pytest.raises(Exception, match="Servable not found"):
        client.predict("rules", inputs)
    thread.join()
    assert np.isfinite(found[0]["y"]).all()


def test_a_stopped_server_answers_what_it_has(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "rules" / "1")
    inputs, found = {"x": np.float32([1.0])}, []
    with Server(tmp_path, rest_api_port=0, grpc_port=0) as server:
        client = Client(server.url, retries=0)
        client.predict("rules", inputs, "slow")
        ask = threading.Thread(
            target=lambda: found.append(client.predict("rules", inputs, "slow"))
        )
        ask.start()
        time.sleep(0.05)
    ask.join()
    assert found and np.isfinite(found[0]["y"]).all()


def test_a_wrong_request_is_not_the_servers_fault(server):
    client = Client(server.url)
    with pytest.raises(InvalidArgument):
        client.predict("rules", {"a": ["text"], "b": ["x"]}, "two")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_end_it_cleanly(base, name):
    code = (
        "import sys; from tfmm.serving import serve;"
        "serve(sys.argv[1], rest_api_port=0, grpc_port=0,"
        " ready=lambda s: print(s.rest_port, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(base)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    port = int(process.stdout.readline())
    # An open connection that rests does not hold it back.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/v1/models/rules")
    assert connection.getresponse().read()
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in errors
