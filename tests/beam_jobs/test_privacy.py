"""No raw user id and no search text where they do not belong."""

import io
import pickle

import pyarrow.parquet as pq
import pytest
import shop
from shop import PLANTED_QUERY, PLANTED_USER

from beam_jobs.log_shards import _Place
from beam_jobs.user_key import UserKey
from beam_jobs.work import Work
from tfmm.errors import TfmmError
from tfmm.identity import key_check


def readable(path):
    """A file's bytes, Parquet columns decoded."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    text = io.StringIO()
    for row in pq.read_table(path).to_pylist():
        print(row, file=text)
    return text.getvalue().encode()


def places(out, planted):
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 30
    return [
        str(path.relative_to(out))
        for path in files
        if planted.encode() in readable(path)
    ]


def test_the_seeds_are_in_the_input(simulated):
    schema, _, _ = simulated
    assert places_of_input(schema, PLANTED_USER) == ["events", "impressions", "users"]
    assert places_of_input(schema, PLANTED_QUERY) == ["searches"]


def places_of_input(schema, planted):
    files = sorted(schema.parent.glob("*.parquet"))
    return [path.stem for path in files if planted.encode() in readable(path)]


def test_there_are_dead_letters(simulated):
    out = simulated[1]
    assert shop.letters(out / "timelines") == [
        ("events.parquet", 10, "time", "no_time"),
        ("impressions.parquet", 10, "click", "not_label"),
    ]
    assert ("searches.parquet", 10, "bought_item", "no_bought") in shop.letters(
        out / "pairs"
    )


def test_no_raw_user_id_in_any_output(simulated):
    assert places(simulated[1], PLANTED_USER) == []


def test_search_text_in_pair_records_alone(simulated):
    found = places(simulated[1], PLANTED_QUERY)
    assert found and all(
        path.startswith("pairs/") and path.endswith(".tfrecord") for path in found
    )


def test_the_secret_is_in_no_output(simulated):
    assert places(simulated[1], "0123456789abcdef") == []


@pytest.mark.parametrize("kept", ["file", "variable"])
def test_the_secret_does_not_travel(tmp_path, monkeypatch, kept):
    path = tmp_path / "key"
    path.write_bytes(shop.KEY + b"\n")
    monkeypatch.setenv("TFMM_USER_KEY", shop.KEY.decode())
    key = UserKey.of(str(path) if kept == "file" else None)
    step = pickle.dumps(_Place("users", "index", key, Work("work", 8)))
    assert key_check(shop.KEY).encode() in step and shop.KEY not in step
    assert pickle.loads(pickle.dumps(key)).read() == shop.KEY
    path.write_bytes(b"another key of the shop")
    monkeypatch.setenv("TFMM_USER_KEY", "another key of the shop")
    for expected in ("A worker does not find the key", key_check(shop.KEY)):
        with pytest.raises(TfmmError, match=expected):
            key.read()
    path.unlink()
    monkeypatch.delenv("TFMM_USER_KEY")
    with pytest.raises(TfmmError, match=r"Received: (There is no key file|User ids)"):
        key.read()
