import os
import time

import pytest
from picture_server import BODY, picture_server

from beam_jobs.kernels.ahead import ahead
from beam_jobs.kernels.fetch import Limits, fetch
from beam_jobs.kernels.retries import Retries


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"of this machine")
    with picture_server(secret) as found:
        yield found


@pytest.fixture
def waits():
    return []


@pytest.fixture
def limits(waits):
    retries = Retries(sleep=waits.append, jitter=lambda: 0.5, total_seconds=5)
    return Limits(max_bytes=100_000, read_seconds=0.2, retries=retries)


def test_bytes_paths_and_uris(tmp_path):
    (tmp_path / "a b.jpg").write_bytes(b"12345")
    root = str(tmp_path)
    uri = (tmp_path / "a b.jpg").as_uri()
    for value in (b"12345", "a b.jpg", f"{root}/a b.jpg", uri, uri.replace("%20", " ")):
        assert fetch(value, root, Limits(5)) == (b"12345", "")
        assert fetch(value, root, Limits(4)) == (b"", "too_many_bytes")
    assert fetch("a%20b.jpg", tmp_path.as_uri(), Limits(5)) == (b"12345", "")


def test_paths_stay_below_the_root(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"12345")
    root = tmp_path / "images"
    (root / "sub").mkdir(parents=True)
    (root / "a.jpg").write_bytes(b"1")
    for base in (str(root), f"{root}/", root.as_uri()):
        for value in ("../secret.jpg", "sub/../../secret.jpg", "..", "./../secret.jpg"):
            assert fetch(value, base, Limits(5)) == (b"", "outside_root")
        assert fetch("sub/../a.jpg", base, Limits(5)) == (b"1", "")
    (root / "..b.jpg").write_bytes(b"2")
    assert fetch("..b.jpg", str(root), Limits(5)) == (b"2", "")


@pytest.mark.parametrize(
    "value",
    [
        *("absent.jpg", ".", "a\0b", "x" * 5000, "/dev/zero", "pipe", "folder"),
        *(
            "nowhere://x/y.jpg",
            "http://",
            "http://[",
            "http://a:b:c/",
            "file:///absent",
        ),
    ],
)
def test_unreadable_paths(tmp_path, value):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert fetch(value, str(tmp_path), Limits(5)) == (b"", "unreadable_path")


@pytest.mark.parametrize(
    ("name", "expected", "asked"),
    [
        ("good", b"/good", 1),
        ("good/größe a.jpg?w=1 2", b"/good/gr%C3%B6%C3%9Fe%20a.jpg?w=1%202", None),
        ("good/a%20b.jpg#part", b"/good/a%20b.jpg", None),
        ("no-length", BODY, 1),
        ("flaky", BODY, 3),
        ("lost", BODY, 3),
        ("short", BODY, 3),
        ("moved", b"/good/after%20a%20move", 1),
    ],
)
def test_what_servers_give(server, limits, waits, name, expected, asked):
    assert fetch(f"{server.url}/{name}", "", limits) == (expected, "")
    assert fetch(name, server.url, limits)[1] == ""
    if asked:
        assert server.asked[name] == asked + 1
        # Waits double: half a second, then one.
        assert waits == ([0.5, 1.0] if asked == 3 else [])


@pytest.mark.parametrize(
    ("name", "reason", "asked"),
    [
        ("absent", "http_404", 1),
        ("down", "http_500", 4),
        ("hangs", "timeout", 4),
        ("endless", "too_many_bytes", 1),
        ("announced", "too_many_bytes", 1),
        ("file", "redirect", 1),
        ("ftp", "redirect", 1),
        ("loop", "redirect", 6),
        ("garbage", "unreadable_path", 1),
    ],
)
def test_what_servers_refuse(server, limits, waits, name, reason, asked):
    assert fetch(f"{server.url}/{name}", "", limits) == (b"", reason)
    assert server.asked[name] == asked
    assert waits == ([0.5, 1.0, 2.0] if asked == 4 else [])


def test_a_server_may_ask_for_a_wait_but_not_for_a_long_one(server, limits, waits):
    # Seven seconds are more than the five that one picture may take here.
    assert fetch(f"{server.url}/busy", "", limits) == (b"", "http_429")
    for name, longest in (("busy/again", 30), ("busy/soon", 3)):
        retries = Retries(sleep=waits.append, longest_seconds=longest)
        limited = Limits(100, retries=retries)
        assert fetch(f"{server.url}/{name}", "", limited) == (BODY, "")
    assert waits == [7, 3]


def test_what_trickles_in_ends_at_the_deadline(server):
    start = time.monotonic()
    limits = Limits(100, retries=Retries(total_seconds=0.3))
    assert fetch(f"{server.url}/trickles", "", limits) == (b"", "timeout")
    assert time.monotonic() - start < 2 and server.asked["trickles"] == 1


def test_hosts_that_are_not_there(limits, waits, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    assert fetch("http://127.0.0.1:1/x", "", limits) == (b"", "connection")
    assert len(waits) == 3
    assert fetch("http://absent.invalid/x", "", limits) == (b"", "connection")


def test_many_at_a_time_in_order(server, limits):
    values = [f"{server.url}/good/{i}" for i in range(40)]
    values[7], values[9] = b"bytes", f"{server.url}/absent"
    found = list(ahead(lambda value: fetch(value, "", limits), values, 16, 64))
    expected = [(f"/good/{i}".encode(), "") for i in range(40)]
    expected[7], expected[9] = (b"bytes", ""), (b"", "http_404")
    assert found == expected
    assert 4 <= server.most <= 16
