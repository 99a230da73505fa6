import http.server
import json
import threading
import time
from typing import ClassVar

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.serving import Client, Ranked, ServerError
from tfmm.serving.client_errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    Unavailable,
)


@pytest.mark.parametrize("signature", [None, "rank", "serving_default"])
def test_a_served_score_is_the_models(toy, client, expected, signature):
    answer = client.predict("ranker", toy.request(), signature)
    assert set(answer) == {"item_id", "score", "known", "history_known"}
    np.testing.assert_allclose(answer["score"], expected, atol=1e-5)
    assert answer["item_id"].tolist() == toy.request()["item_id"].tolist()
    pinned = client.predict("ranker", toy.request(), signature, version=1)
    np.testing.assert_array_equal(pinned["score"], answer["score"])


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
    assert error.value.code == 404 and isinstance(error.value, NotFound)
    with pytest.raises(
        TfmmError, match=r"no input of this name. Received: .'context_x"
    ):
        client.rank(["a"], context={"context_x": 1})
    with pytest.raises(TfmmError, match=r"`user_key` takes whole .*: 'bob'"):
        client.rank(["a"], user_key="bob")
    with pytest.raises(ServerError, match=r"no signature `encode`.*\['rank'"):
        client.signature("ranker", "encode")


def test_values_are_one_each(client):
    with pytest.raises(TfmmError, match=r"one value per candidate. Expected: 2. Rec"):
        client.rank(["a", "b"], candidates={"candidate_price": [1.0]})
    with pytest.raises(TfmmError, match=r"`history_type` takes one value per event"):
        client.rank(["a"], history=["b"], history_type=["click", "click"])


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://[::1", "http://x:port", "http://", "http://me:pw@x", ""]
)
def test_what_is_no_address(url):
    with pytest.raises(TfmmError, match="`url` must be an http"):
        Client(url)


@pytest.mark.parametrize(
    "url", ["http://a b:1", "http://a..b:1", "127.0.0.1:1", "grpc://127.0.0.1:1"]
)
def test_addresses_where_no_server_answers(url):
    with pytest.raises(ServerError, match="No server answers at") as error:
        Client(url, retries=0).status("ranker")
    assert error.value.code == 0 and isinstance(error.value, Unavailable)


def test_status_and_metadata(client):
    assert client.status("ranker")[0]["state"] == "AVAILABLE"
    found = client.signature("ranker", "rank")
    assert found.inputs["item_id"] == ("DT_STRING", 2)
    assert found.inputs["n_items"] == ("DT_INT32", 1)
    assert found.outputs["score"] == ("DT_FLOAT", 2)


def test_a_ranking_knows_its_coverage(client):
    # Of the history's events "b" has a vector, "d" has none.
    ranking = client.rank(["a"], history=["b", "d"])
    assert ranking.history_known == 0.5
    assert ranking.version in (1, None)


def test_outputs_may_be_chosen(toy, client):
    found = client.predict("ranker", toy.request(), output_filter=["known", "score"])
    assert sorted(found) == ["known", "score"]


def test_what_does_not_fit_is_an_invalid_argument(toy, client):
    with pytest.raises(InvalidArgument):
        client.predict("ranker", {"item_id": [["a"]]}, "rank")


class Flaky(http.server.BaseHTTPRequestHandler):
    """Answers what it is told to, one answer a request."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[list] = []
    asked: ClassVar[list] = []

    def do_GET(self):
        self.asked.append(self.path)
        answer = self.answers.pop(0)
        if answer == "hang up":
            self.close_connection = True
            return
        if answer == "wait":
            time.sleep(1)
            answer = 503
        body = json.dumps(
            {"model_version_status": []} if answer == 200 else {"error": "busy"}
        ).encode()
        self.send_response(answer)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def flaky():
    Flaky.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("answers", [[503, 429, 200], ["hang up", 200], [200]])
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


def test_all_repetitions_share_one_deadline(flaky):
    Flaky.answers[:] = ["wait"] * 9
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="did not answer within"):
        Client(flaky, timeout=0.3, retries=9).status("m")
    assert time.monotonic() - began < 0.9
