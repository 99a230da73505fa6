"""One user's ranking from the command line: what is sent, and which mistakes are told.

The server stands in: it answers `rank` from `signature` and keeps what it was sent.
"""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.road.ask import ask

INPUTS = {
    "user_key": ("DT_INT64", 1),
    "user_age": ("DT_STRING", 1),
    "context_hour": ("DT_STRING", 1),
    "context_delay": ("DT_FLOAT", 1),
    "history_item_id": ("DT_INT64", 2),
    "history_type": ("DT_STRING", 2),
    "n_history": ("DT_INT32", 1),
    "item_id": ("DT_INT64", 2),
    "candidate_color": ("DT_STRING", 2),
    "candidate_price": ("DT_FLOAT", 2),
    "n_items": ("DT_INT32", 1),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        inputs = {
            name: {"dtype": dtype, "tensor_shape": {"dim": [{"size": "-1"}] * rank}}
            for name, (dtype, rank) in self.server.inputs.items()
        }
        signatures = {"rank": {"inputs": inputs}}
        self.answer({"metadata": {"signature_def": {"signature_def": signatures}}})

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        inputs = json.loads(self.rfile.read(length))["inputs"]
        self.server.sent.append(inputs)
        items = inputs["item_id"][0]
        scores = [place / 10 for place in range(len(items))]
        known = [True] * len(items)
        self.answer(
            {"outputs": {"item_id": [items], "score": [scores], "known": [known]}}
        )

    def answer(self, document):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        running.inputs, running.sent = dict(INPUTS), []
        Thread(target=running.serve_forever, args=(0.01,)).start()
        yield running
        running.shutdown()


def asked(server, *items, **arguments):
    url = f"http://127.0.0.1:{server.server_address[1]}"
    return ask(url, "ranker", items, **arguments)


def test_everything_given(server):
    asked(
        server,
        "7",
        "9",
        history=["1", "2"],
        history_type=["click", "order"],
        user_key=5,
        values=["context_hour=8", "context_delay=.5", "candidate_price=1,2.5"],
    )
    assert server.sent == [
        {
            "user_key": [5],
            "user_age": [""],
            "context_hour": ["8"],
            "context_delay": [0.5],
            "history_item_id": [[1, 2]],
            "history_type": [["click", "order"]],
            "n_history": [2],
            "item_id": [[7, 9]],
            "candidate_color": [["", ""]],
            "candidate_price": [[1.0, 2.5]],
            "n_items": [2],
        }
    ]


def test_one_type_serves_the_whole_history_and_none_is_missing(server):
    asked(server, "7", history=["1", "2"], history_type=["click"])
    asked(server, "7", history=["1", "2"])
    types = [sent["history_type"] for sent in server.sent]
    assert types == [[["click", "click"]], [["", ""]]]


def test_text_may_hold_equals_signs_and_be_empty(server):
    asked(server, "7", values=["user_age=a=b", "candidate_color="])
    assert server.sent[0]["user_age"] == ["a=b"]
    assert server.sent[0]["candidate_color"] == [[""]]


def test_base_scores_are_one_per_candidate(server):
    server.inputs["base_score"] = ("DT_FLOAT", 2)
    asked(server, "7", "9", values=["base_score=0.1,0.2"])
    assert server.sent[0]["base_score"] == [[0.1, 0.2]]


def test_the_table_shows_ids_as_they_are(server):
    server.inputs["item_id"] = ("DT_STRING", 2)
    console = Console(width=80)
    with console.capture() as shown:
        console.print(asked(server, "a[/b]", "c[bold]d"))
    first, second = shown.get().splitlines()[3:5]
    assert "c[bold]d" in first and "0.100000" in first
    assert "a[/b]" in second and "0.000000" in second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": ["abc"]}, "`item_id` takes whole numbers. Received: 'abc'"),
        ({"items": ["1.5"]}, "`item_id` takes whole numbers. Received: '1.5'"),
        ({"history": ["x"]}, "`history_item_id` takes whole numbers. Received: 'x'"),
        ({"values": ["user_key=abc"]}, "Received: 'user_key=abc'. Expected a name of"),
        ({"values": ["n_items=3"]}, "Received: 'n_items=3'"),
        ({"values": ["item_id=3"]}, "Received: 'item_id=3'"),
        ({"values": ["history_type=click"]}, "Received: 'history_type=click'"),
        ({"values": ["context_minute=1"]}, "Received: 'context_minute=1'"),
        ({"values": ["context_hour"]}, "Received: 'context_hour'"),
        ({"values": ["user_age=1", "user_age=2"]}, "Received: 'user_age=2'"),
        ({"values": ["context_delay=soon"]}, "`context_delay` takes numbers"),
        ({"values": ["candidate_price=a,b"]}, "`candidate_price` takes numbers"),
        ({"values": ["candidate_price=1"]}, "Expected: 2. Received: 1"),
        ({"history_type": ["a", "b"], "history": ["1"]}, "Expected: 1. Received: 2"),
        ({"history_type": ["a", "b"]}, "Expected: 0. Received: 2"),
    ],
)
def test_mistakes_are_told_and_nothing_is_sent(server, arguments, message):
    items = arguments.pop("items", ["1", "2"])
    with pytest.raises(TfmmError, match=message):
        asked(server, *items, **arguments)
    assert not server.sent


def test_a_type_for_a_model_without_types(server):
    del server.inputs["history_type"]
    with pytest.raises(TfmmError, match=r"no input of this name. .*history_type"):
        asked(server, "1", history=["1"], history_type=["click"])
