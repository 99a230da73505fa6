import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.serving import (
    Client,
    InvalidArgument,
    NotFound,
    Ranked,
    ServerError,
    Unavailable,
)
from tfmm.serving.client_calls import Answer, SignatureInfo, TensorInfo, Transport
from tfmm.serving.client_errors import server_error
from tfmm.serving.client_ranking import rank_inputs, ranking


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


def test_a_closed_client_may_be_used_again(client):
    client.close()
    assert client.status("ranker")[0]["state"] == "AVAILABLE"


def test_many_threads_share_a_client(toy, client, expected):
    def ask(item):
        (found,) = client.rank([item], user_key=22)
        return found

    items = ["a", "b", "c", "d"] * 25
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, items))
    assert [one.item_id for one in found] == items
    assert found[:4] * 25 == found


def test_an_unknown_input_is_told_and_not_left_unread(toy, client):
    with pytest.raises(InvalidArgument, match=r"no input of this name.*'n_item'"):
        client.predict("ranker", {**toy.request(), "n_item": [1, 2]}, "rank")


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_items": ["three", "one"]},
        {"n_items": [2.5, 1.0]},
        {"user_key": [2**70, 1]},
        {"item_id": [[1, 2, 3], [4, 5, 6]]},
        {"item_id": [["a", "b"], ["c"]]},
        {"context_delay": ["soon", "late"]},
    ],
)
def test_values_of_another_type_are_refused(toy, client, wrong):
    with pytest.raises(InvalidArgument):
        client.predict("ranker", {**toy.request(), **wrong}, "rank")


def test_an_output_that_is_none_is_told(toy, client):
    with pytest.raises(InvalidArgument, match="scores"):
        client.predict("ranker", toy.request(), output_filter=["scores"])


class Scripted(Transport):
    """A server of one model whose signature changes when it is told to."""

    def __init__(self, inputs):
        self.inputs, self.asked, self.busy = inputs, [], 0

    def signatures(self, target, timeout):
        self.asked.append("metadata")
        tensors = {name: TensorInfo("DT_INT64", 1) for name in self.inputs}
        return {"rank": SignatureInfo(tensors, {})}

    def predict(self, target, signature, info, inputs, only, timeout):
        self.asked.append("predict")
        if self.busy:
            raise server_error(503, "busy")
        if set(inputs) != set(self.inputs):
            raise server_error(400, "input size does not match signature")
        return Answer({"sum": np.array([sum(v[0] for v in inputs.values())])}, 1)


def scripted(inputs, **arguments):
    client = Client("http://127.0.0.1:1", **arguments)
    client._transport = Scripted(inputs)
    return client, client._transport


def test_a_signature_is_asked_for_once_and_again_when_it_changes():
    client, server = scripted(["a"])
    for _ in range(2):
        client.predict("m", {"a": [1]}, "rank")
    assert server.asked == ["metadata", "predict", "predict"]
    server.inputs = ["a", "b"]
    assert client.predict("m", {"a": [1], "b": [2]}, "rank")["sum"] == [3]
    assert server.asked[3:] == ["metadata", "predict"]
    with pytest.raises(InvalidArgument, match="does not match"):
        client.predict("m", {"a": [1]}, "rank")
    assert server.asked[5:] == ["predict", "metadata"]


def test_a_busy_server_is_not_asked_for_signatures_besides():
    client, server = scripted(["a"], retries=1)
    client.predict("m", {"a": [1]}, "rank")
    server.busy = True
    with pytest.raises(Unavailable):
        client.predict("m", {"a": [1]}, "rank")
    assert server.asked == ["metadata", *["predict"] * 3]


def test_a_history_of_none_is_one_column_of_padding():
    wanted = {
        "user_key": TensorInfo("DT_INT64", 1),
        "history_item_id": TensorInfo("DT_INT64", 2),
        "history_type": TensorInfo("DT_STRING", 2),
        "n_history": TensorInfo("DT_INT32", 1),
        "item_id": TensorInfo("DT_INT64", 2),
        "n_items": TensorInfo("DT_INT32", 1),
    }
    found = rank_inputs("m", wanted, [7, 8, 9], 5, [], None, {}, {})
    assert found == {
        "user_key": [5],
        "history_item_id": [[0]],
        "history_type": [[""]],
        "n_history": [0],
        "item_id": [[7, 8, 9]],
        "n_items": [3],
    }
    found = rank_inputs("m", wanted, [7], 5, [1, 2], None, {}, {})
    assert found["history_item_id"] == [[1, 2]] and found["history_type"] == [["", ""]]


def test_a_ranking_leaves_unknown_outputs_alone():
    answer = Answer(
        {
            "item_id": np.array([["x", "y"]], object),
            "score": np.array([[0.1, 0.9]]),
            "score_order": np.array([[0.3, 0.2]]),
            "known": np.array([[True, False]]),
            "new_in_a_later_version": np.zeros([1, 7, 7]),
        }
    )
    found = ranking(answer, 2)
    assert found == [
        ("y", 0.9, False, {"order": 0.2}),
        ("x", 0.1, True, {"order": 0.3}),
    ]
    assert found.history_known is None and found.version is None
    # A server that batches answers as wide as the widest request of the batch.
    assert [one.item_id for one in ranking(answer, 1)] == ["x"]


GRPC_CLIENT = """
import sys
from tfmm.serving import Client, Unavailable

try:
    Client("grpc://127.0.0.1:1", retries=0).status("m")
except Unavailable:
    print("tensorflow" in sys.modules)
import tensorflow as tf
from tfmm.serving.client_tensors import to_array

print(to_array(tf.make_tensor_proto([[1, 2]]), "x").tolist())
"""


@pytest.mark.slow
def test_grpc_needs_no_tensorflow_and_does_it_no_harm():
    done = subprocess.run(
        [sys.executable, "-c", GRPC_CLIENT], capture_output=True, text=True
    )
    assert done.stdout.split("\n")[:2] == ["False", "[[1, 2]]"], done.stderr
