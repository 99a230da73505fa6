import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.serving import Client, Server, ServerError


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


def test_new_versions_are_picked_up_and_broken_ones_are_not(toy, base, tmp_path):
    model = tmp_path / "ranker"
    shutil.copytree(base / "ranker" / "1", model / "1")
    ports = {"rest_api_port": 0, "grpc_port": 0}
    with Server(tmp_path, poll_seconds=0.05, **ports) as server:
        client = Client(server.url)
        shutil.copytree(model / "1", model / "draft")
        (model / "draft").rename(model / "2")
        wait_for(lambda: states(client) == {"2": "AVAILABLE", "1": "END"})
        shutil.copytree(model / "2", model / "draft")
        (model / "draft" / "saved_model.pb").write_bytes(b"broken")
        (model / "draft").rename(model / "3")
        broken = {"3": "END", "2": "AVAILABLE", "1": "END"}
        wait_for(lambda: states(client) == broken)
        assert client.status("ranker")[0]["status"]["error_code"] != "OK"
        assert client.predict("ranker", toy.request())["score"].shape == (2, 3)
        shutil.rmtree(model / "3")
        shutil.rmtree(model / "2")
        wait_for(lambda: states(client) == {"3": "END", "2": "END", "1": "AVAILABLE"})


def states(client):
    return {v["version"]: v["state"] for v in client.status("ranker")}


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


class Flapping:
    """A manager whose polls raise these errors in turn; None for none."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def poll(self):
        error = self.errors.pop(0)
        if error is not None:
            raise error


def test_a_failing_look_is_told_once_and_so_is_its_end(tmp_path, caplog):
    gone, full = TfmmError("no folder"), OSError("too many files")
    server = Server(tmp_path)
    server.manager = Flapping(None, gone, gone, full, gone, None, None)
    failing = ""
    for _ in range(7):
        failing = server._look(failing)
    assert [r.getMessage().rpartition(": ")[2] for r in caplog.records] == [
        "no folder",
        "too many files",
        "no folder",
        "Looking for new versions works again.",
    ]
    assert not any(r.exc_info for r in caplog.records)


def test_an_unforeseen_failure_of_a_look_keeps_its_trace(tmp_path, caplog):
    server = Server(tmp_path)
    server.manager = Flapping(KeyError("a"), KeyError("a"))
    server._look(server._look(""))
    (record,) = caplog.records
    assert record.exc_info[0] is KeyError


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
