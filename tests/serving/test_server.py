import contextlib
import gzip
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfmm.errors import TfmmError
from tfmm.export.border import to_batch
from tfmm.serving import Client, Ranked, Server, ServerError


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def base(exported, tmp_path_factory):
    target = tmp_path_factory.mktemp("served")
    shutil.copytree(exported[1], target, dirs_exist_ok=True)
    return target


@pytest.fixture(scope="session")
def server(base):
    arguments = {"rest_api_port": 0, "grpc_port": free_port(), "poll_seconds": 0.1}
    with Server(base, max_body_bytes=100_000, **arguments) as running:
        yield running


@pytest.fixture(scope="session")
def client(server):
    return Client(server.url)


@pytest.fixture(scope="session")
def expected(toy, exported):
    batch = to_batch(toy.request(), toy.SPEC, toy.index(), toy.VOCABULARIES)
    scores = tf.sigmoid(exported[0](batch)).numpy()
    return np.where([[True] * 3, [True, False, False]], scores, 0)


@pytest.mark.parametrize("signature", [None, "rank", "serving_default"])
def test_a_served_score_is_the_models(toy, client, expected, signature):
    answer = client.predict("ranker", toy.request(), signature)
    assert set(answer) == {"item_id", "score", "known"}
    np.testing.assert_allclose(answer["score"], expected, atol=1e-5)
    assert answer["item_id"].tolist() == toy.request()["item_id"].tolist()
    pinned = client.predict("ranker", toy.request(), signature, version=1)
    np.testing.assert_array_equal(pinned["score"], answer["score"])


def as_rows(request):
    names = list(request)
    lists = [request[name].tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]


def post(server, body, headers=None, path="/v1/models/ranker:predict"):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
    connection.request("POST", path, body, headers or {})
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())
    connection.close()
    return answer


def test_row_format(toy, server, expected):
    body = json.dumps({"instances": as_rows(toy.request())})
    code, answer = post(server, body)
    assert code == 200
    scores = [row["score"] for row in answer["predictions"]]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_gzip_and_chunked_bodies(toy, server):
    body = json.dumps({"instances": as_rows(toy.request())}).encode()
    plain = post(server, body)
    assert plain[0] == 200
    assert post(server, gzip.compress(body), {"Content-Encoding": "gzip"}) == plain
    # A body of unknown length travels in chunks.
    assert post(server, iter([body[:10], body[10:]])) == plain


def test_one_connection_serves_many_requests(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/v1/models/ranker")
        response = connection.getresponse()
        assert response.status == 200 and response.read()
        assert response.getheader("Content-Type") == "application/json"
        assert not response.will_close


@pytest.mark.parametrize(
    ("body", "headers", "code", "message"),
    [
        (b"", {}, 400, "document is empty"),
        (b"{", {}, 400, "JSON Parse error"),
        (b"\xff\xfe", {}, 400, "JSON Parse error"),
        (b'{"inputs": {}}', {}, 400, "Missing named input: "),
        (b'{"inputs": 3, "signature_name": "x"}', {}, 400, "'x' not found"),
        (b'{"a": ' + b"[" * 50_000, {}, 400, "JSON Parse error"),
        (b"x" * 100_001, {}, 413, "100001 > 100000"),
        (gzip.compress(b" " * 200_000), {"Content-Encoding": "gzip"}, 413, "large"),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400, "gzip body is damaged"),
        (b"{}", {"Content-Length": "-1"}, 400, "Content-Length"),
        (b"zz\r\n", {"Transfer-Encoding": "chunked"}, 400, "Chunk size"),
    ],
)
def test_malformed_bodies(server, body, headers, code, message):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
    connection.putrequest("POST", "/v1/models/ranker:predict")
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    # The server may refuse by the head alone.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.send(body)
    response = connection.getresponse()
    assert response.status == code
    assert message in json.loads(response.read())["error"]
    connection.close()


def test_what_the_graph_refuses_is_a_400(toy, server):
    request = {k: v.tolist() for k, v in toy.request().items()}
    request["n_items"] = [1, 1, 1]
    code, answer = post(server, json.dumps({"inputs": request}))
    assert code == 400 and answer["error"]


def test_rank_sorts_and_fills_what_is_not_given(toy, client, exported):
    ranking = client.rank(["a", "d", "zzz"], user_key=22, history=["b", "a"])
    assert sorted(r.item_id for r in ranking) == ["a", "d", "zzz"]
    scores = [r.score for r in ranking]
    assert scores == sorted(scores, reverse=True)
    assert {r.item_id: r.known for r in ranking} == {
        "a": True,
        "d": False,
        "zzz": False,
    }
    given = {"candidates": {"candidate_price": ["5.0"]}, "context": {"context_hour": 1}}
    (one,) = client.rank(["a"], **given)
    assert isinstance(one, Ranked)
    blank = {
        "user_age": [""],
        "context_delay": [0.0],
        "history_item_id": [[]],
        "history_type": [[]],
        "n_history": [0],
        "candidate_color": [[""]],
    }
    full = {
        "user_key": [0],
        "context_hour": ["1"],
        "item_id": [["a"]],
        "n_items": [1],
        "candidate_price": [[5.0]],
        **blank,
    }
    assert client.predict("ranker", full)["score"].tolist() == [[one.score]]
    assert client.rank([]) == []


def test_the_clients_errors(client):
    with pytest.raises(ServerError, match="Servable not found") as error:
        client.predict("nothing", {"x": 1})
    assert error.value.code == 404
    with pytest.raises(
        TfmmError, match=r"no input of this name. Received: .'context_x"
    ):
        client.rank(["a"], context={"context_x": 1})
    with pytest.raises(TfmmError, match=r"`user_key` takes numbers. Received: 'bob'"):
        client.rank(["a"], user_key="bob")
    with pytest.raises(TfmmError, match="http"):
        Client("ftp://x")


def test_status_and_metadata(client):
    assert client.status("ranker")[0]["state"] == "AVAILABLE"
    found = client.signature("ranker", "rank")
    assert found["item_id"] == ("DT_STRING", 2) and found["n_items"] == ("DT_INT32", 1)


def test_many_threads_get_their_own_answers(toy, client, expected):
    failed = []

    def ask(row):
        one = {k: v[row : row + 1] for k, v in toy.request().items()}
        for _ in range(10):
            score = client.predict("ranker", one)["score"][0]
            if not np.allclose(score, expected[row], atol=1e-5):
                failed.append(row)

    threads = [threading.Thread(target=ask, args=(n % 2,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_new_versions_are_picked_up_and_broken_ones_are_not(toy, base, client):
    model = base / "ranker"
    shutil.copytree(model / "1", model / "draft")
    (model / "draft").rename(model / "2")
    wait_for(lambda: [v["version"] for v in client.status("ranker")] == ["2"])
    shutil.copytree(model / "2", model / "draft")
    (model / "draft" / "saved_model.pb").write_bytes(b"broken")
    (model / "draft").rename(model / "3")
    wait_for(lambda: len(client.status("ranker")) == 2)
    wait_for(lambda: client.status("ranker")[0]["state"] == "END")
    assert client.status("ranker")[0]["status"]["error_code"] != "OK"
    assert client.status("ranker")[1]["state"] == "AVAILABLE"
    assert client.predict("ranker", toy.request())["score"].shape == (2, 3)
    shutil.rmtree(model / "3")
    shutil.rmtree(model / "2")
    wait_for(lambda: [v["version"] for v in client.status("ranker")] == ["1"])


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def test_a_failing_warmup_request_fails_the_version(base, tmp_path):
    from tfmm.export.warmup import Call, write_warmup
    from tfmm.serving.loader import LoadedModel
    from tfmm.serving.status import StatusError

    shutil.copytree(base / "ranker" / "1", tmp_path / "1")
    write_warmup(tmp_path / "1", "m", [Call("rank", {"item_id": np.zeros((1, 1))})])
    with pytest.raises(StatusError, match="Missing but required"):
        LoadedModel(tmp_path / "1")


def predict_request(toy, **spec):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "ranker"
    for name, value in spec.items():
        setattr(request.model_spec, name, value)
    for name, value in toy.request().items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


@pytest.fixture(scope="session")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as opened:
        yield opened


def test_grpc_predict(toy, channel, expected):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_request(toy, signature_name="rank")
    request.output_filter.append("score")
    response = stub.Predict(request)
    assert response.model_spec.version.value == 1 and list(response.outputs) == [
        "score"
    ]
    score = tf.make_ndarray(response.outputs["score"])
    np.testing.assert_allclose(score, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda r: setattr(r.model_spec, "name", ""), "INVALID_ARGUMENT", "ModelSpec"),
        (lambda r: setattr(r.model_spec, "name", "x"), "NOT_FOUND", "not found"),
        (
            lambda r: setattr(r.model_spec, "signature_name", "x"),
            "FAILED_PRECONDITION",
            "not found",
        ),
        (lambda r: r.inputs.pop("n_items"), "INVALID_ARGUMENT", "required: {n_items}"),
        (
            lambda r: r.inputs["n_items"].CopyFrom(tf.make_tensor_proto([1.0])),
            "INVALID_ARGUMENT",
            "int32 but float32 is provided",
        ),
        (lambda r: r.output_filter.append("x"), "INVALID_ARGUMENT", "alias"),
    ],
)
def test_grpc_errors(toy, channel, change, code, message):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_request(toy)
    change(request)
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(request)
    assert error.value.code().name == code
    assert message in error.value.details()


def test_grpc_status_and_metadata(channel):
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "ranker"
    found = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status)
    assert [(v.version, v.state) for v in found.model_version_status] == [(1, 30)]
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "ranker"
    request.metadata_field.append("signature_def")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = stub.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    assert "rank" in signatures.signature_def


def test_a_taken_port_and_an_empty_folder_are_told(base, server, tmp_path):
    with pytest.raises(TfmmError, match="REST port is not free"):
        Server(base, rest_api_port=server.rest_port, grpc_port=0).start()
    with pytest.raises(TfmmError, match="no model to serve"):
        Server(tmp_path).start()
    broken = tmp_path / "broken" / "1" / "saved_model.pb"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"x")
    with pytest.raises(TfmmError, match=r"none .*could be loaded.*broken version 1: "):
        Server({"broken": broken.parents[1]}, rest_api_port=0, grpc_port=0).start()


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly(base):
    code = (
        "import sys; from tfmm.serving import serve;"
        "serve(sys.argv[1], rest_api_port=0, grpc_port=0,"
        " ready=lambda s: print(s.url, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(base)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = process.stdout.readline().strip()
    with urllib.request.urlopen(f"{url}/v1/models/ranker", timeout=10) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in errors
    with pytest.raises(ServerError, match="No server answers"):
        Client(url).status("ranker")
