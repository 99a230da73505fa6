import contextlib
import gzip
import http.client
import json

import numpy as np
import pytest


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
        (b'{"inputs": 3, "signature_name": "x"}', {}, 400, '"x" not found'),
        (b'{"a": ' + b"[" * 50_000, {}, 400, "JSON Parse error"),
        (b"x" * 100_001, {}, 413, "100001 > 100000"),
        (gzip.compress(b" " * 200_000), {"Content-Encoding": "gzip"}, 413, "large"),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400, "gzip body is damaged"),
        (b"{}", {"Content-Length": "-1"}, 400, "Content-Length"),
        (b"zz\r\n", {"Transfer-Encoding": "chunked"}, 400, "chunked or has a Content"),
        (b"", {"Content-Length": "9" * 5000}, 400, "Content-Length"),
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
