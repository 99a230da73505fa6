import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.serving import Client, Ranked, ServerError


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
    assert error.value.code == 404
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


@pytest.mark.parametrize("url", ["http://a b:1", "http://a..b:1", "127.0.0.1:1"])
def test_addresses_where_no_server_answers(url):
    with pytest.raises(ServerError, match="No server answers at") as error:
        Client(url).status("ranker")
    assert error.value.code == 0


def test_status_and_metadata(client):
    assert client.status("ranker")[0]["state"] == "AVAILABLE"
    found = client.signature("ranker", "rank")
    assert found["item_id"] == ("DT_STRING", 2) and found["n_items"] == ("DT_INT32", 1)
