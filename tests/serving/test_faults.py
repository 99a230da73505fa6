"""What a server must survive while it answers: bad versions, swaps, bad bodies."""

import gzip
import http.client
import json
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving.small_models import ask, half_plus, predict, save, spin
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfmm.serving.server import free_port

BODIES = 10_000
MAX_GROWTH_BYTES = 30 << 20


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def states(server, name="m"):
    answer = json.loads(ask(server, "GET", f"/v1/models/{name}")[2])
    return {v["version"]: v["state"] for v in answer["model_version_status"]}


def publish(base, version, number):
    functions = {"serving_default": half_plus(number)}
    save(base / str(version), functions)


@pytest.fixture
def base(tmp_path):
    (tmp_path / "m").mkdir()
    publish(tmp_path / "m", 1, 1)
    return tmp_path / "m"


@pytest.fixture
def swapping(base):
    from tfmm.serving import Server

    ports = {"rest_api_port": 0, "grpc_port": free_port()}
    with Server({"m": base}, poll_seconds=0.05, **ports) as server:
        yield server


class Load:
    """Clients that ask without a pause; each keeps the answers that it got."""

    def __init__(self, server):
        self._server = server
        self._stop = threading.Event()
        self.answers = [[] for _ in range(6)]
        asks = [self._rest, self._rest, self._rest, self._rest, self._grpc, self._grpc]
        self._threads = [
            threading.Thread(target=ask, args=(answers,))
            for ask, answers in zip(asks, self.answers, strict=True)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        wait_for(lambda: all(self.answers))
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def answered(self, value):
        """Waits until every client has had this answer."""
        wait_for(lambda: all(value in answers[-5:] for answers in self.answers))

    def _rest(self, answers):
        address = "127.0.0.1", self._server.rest_port
        connection = http.client.HTTPConnection(*address, timeout=30)
        while not self._stop.is_set():
            connection.request("POST", "/v1/models/m:predict", b'{"inputs": [0]}')
            answer = connection.getresponse()
            text = answer.read()
            good = answer.status == 200
            answers.append(json.loads(text)["outputs"][0] if good else text)

    def _grpc(self, answers):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "m"
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([0])))
        with grpc.insecure_channel(f"127.0.0.1:{self._server.grpc_port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not self._stop.is_set():
                try:
                    answers.append(stub.Predict(request).outputs["y"].float_val[0])
                except grpc.RpcError as error:
                    answers.append(error.details())


def test_versions_swapped_under_load(base, swapping):
    with Load(swapping) as load:
        load.answered(1)
        publish(base, 2, 2)
        load.answered(2)
        broken = base / "draft-3"
        broken.mkdir()
        (broken / "saved_model.pb").write_bytes(b"broken")
        broken.rename(base / "3")
        wait_for(lambda: states(swapping).get("3") == "END")
        publish(base, 4, 4)
        load.answered(4)
    for answers in load.answers:
        assert set(answers) == {1, 2, 4}
        assert answers == sorted(answers)  # no client falls back to an old version
    assert states(swapping) == {"4": "AVAILABLE", "3": "END", "2": "END", "1": "END"}


def test_a_broken_version_is_told_and_the_old_one_serves(base, swapping):
    publish(base.parent, 2, 2)
    (base.parent / "2" / "assets.extra").mkdir()
    warmup = base.parent / "2" / "assets.extra" / "tf_serving_warmup_requests"
    warmup.write_bytes(b"no records")
    (base.parent / "2").rename(base / "2")
    wait_for(lambda: states(swapping).get("2") == "END")
    code, _, body = ask(swapping, "GET", "/v1/models/m/versions/2")
    (version,) = json.loads(body)["model_version_status"]
    assert code == 200 and version["status"]["error_code"] != "OK"
    assert version["status"]["error_message"]
    assert predict(swapping, {"inputs": [0]}, "m") == (200, {"outputs": [1.0]})


def test_a_call_outlives_its_version_and_then_the_memory_is_free(base, swapping):
    save(base / "2", {"serving_default": tf.function(spin, [steps()])})
    wait_for(lambda: states(swapping).get("1") == "END")
    old = weakref.ref(swapping.manager.get("m")[1]._session._session.graph)
    found = []
    call = threading.Thread(
        target=lambda: found.append(predict(swapping, {"inputs": [150]}, "m"))
    )
    call.start()
    time.sleep(0.2)
    publish(base, 3, 3)
    wait_for(lambda: states(swapping).get("2") == "END")
    assert not found and old() is not None
    call.join()
    assert found[0][0] == 200
    wait_for(lambda: old() is None)


def steps():
    return tf.TensorSpec(None, tf.int32, "steps")


VALID = b'{"signature_name": "serving_default", "inputs": [[1.5, 2], [3, 4]]}'
WRONG_VALUES = [
    *("null", '"text"', "true", "{}", '{"y": 1}', "[[1], [1, 2]]", "[1, [2]]"),
    *("[null]", '["1"]', '[{"b64": "aGk="}]', "[1e999]", "[01]", "[+1]", "[.5]"),
    *("[1.]", "[0x10]", "[--1]", "[nan]", "[1,]", "[,]", "[1 2]", "[\\u0031]"),
    *('"\\ud800"', "[" * 40 + "]" * 40, "[" * 5000, "1" * 5000, "undefined"),
]
WRONG_DOCUMENTS = [
    *("[]", "3", '"x"', "null", "{}", '{"input": [1]}', "{'inputs': [1]}"),
    *('{"inputs": [1], "instances": [1]}', '{"instances": []}', '{"instances": {}}'),
    *('{"instances": [1, {"x": 1}]}', '{"instances": [{"z": 1}]}'),
    *('{"signature_name": 3, "inputs": [1]}', '{"signature_name": "z", "inputs": 1}'),
]


def malformed(seed, count):
    """Bodies that no server may take, with the headers they come with."""
    generator = random.Random(seed)
    for _ in range(count):
        kind = generator.randrange(6)
        place = generator.randrange(1, len(VALID))
        headers = {}
        if kind == 0:
            body = VALID[:place]
        elif kind == 1:
            control = bytes([generator.choice([*range(9), *range(14, 32)])])
            body = VALID[:place] + control + VALID[place:]
        elif kind == 2:
            body = b"!" + generator.randbytes(generator.randrange(300))
        elif kind == 3:
            key = generator.choice(["inputs", "instances"])
            body = f'{{"{key}": {generator.choice(WRONG_VALUES)}}}'.encode()
        elif kind == 4:
            body = generator.choice(WRONG_DOCUMENTS).encode()
        else:
            packed = bytearray(gzip.compress(VALID, mtime=0))
            packed[generator.randrange(10, len(packed))] ^= generator.randrange(1, 256)
            body, headers = bytes(packed[:-1]), {"Content-Encoding": "gzip"}
        yield body, headers


def resident_bytes():
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_malformed_bodies_are_refused_and_leave_nothing(conforming):
    address = "127.0.0.1", conforming.rest_port
    connection = http.client.HTTPConnection(*address, timeout=30)
    before = 0
    for number, (body, headers) in enumerate(malformed(seed=0, count=BODIES)):
        if number == BODIES // 10:
            before = resident_bytes()
        connection.request("POST", "/v1/models/small:predict", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert 400 <= answer.status < 500, (body, headers, answer.status, text)
        assert json.loads(text)["error"], body
    assert resident_bytes() - before < MAX_GROWTH_BYTES
    connection.request("POST", "/v1/models/small:predict", VALID)
    assert connection.getresponse().status == 200


SERVE = (
    "import sys; from tfmm.serving import serve;"
    "from tfmm.serving.config_file import ModelConfigFile;"
    "serve(ModelConfigFile(sys.argv[1]), rest_api_port=0, grpc_port=0,"
    " ready=lambda s: print(s.rest_port, flush=True))"
)


class Process:
    """A server in a process of its own, with a call under way."""

    def __init__(self, config, spins):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.rest_port = int(self.process.stdout.readline())
        self.answers = []
        self._call = threading.Thread(target=self._ask, args=(spins,))
        self._call.start()
        time.sleep(0.5)

    def _ask(self, spins):
        document = {"signature_name": "spin", "inputs": [spins]}
        try:
            self.answers.append(predict(self, document))
        except OSError as error:
            self.answers.append(error)

    def end(self):
        """(exit code, standard error, what the call got)."""
        _, errors = self.process.communicate(timeout=60)
        self._call.join()
        return self.process.returncode, errors, self.answers[0]


@pytest.mark.slow
def test_sigterm_lets_a_call_end(small_config):
    running = Process(small_config, spins=60)
    assert not running.answers
    running.process.send_signal(signal.SIGTERM)
    code, errors, answer = running.end()
    assert code == 0 and "Traceback" not in errors
    assert answer[0] == 200


@pytest.mark.slow
def test_a_second_ctrl_c_ends_it_at_once(small_config):
    running = Process(small_config, spins=1_000_000)
    running.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert running.process.poll() is None
    start = time.monotonic()
    running.process.send_signal(signal.SIGINT)
    code, _, answer = running.end()
    assert code == -signal.SIGINT and isinstance(answer, OSError)
    assert time.monotonic() - start < 5
