import pytest

from benchmarks import request_input
from benchmarks.request_input import SMOKE, our_batches, peer_batches
from benchmarks.request_input_data import write_impressions, write_timelines

LAYOUT = next(iter(SMOKE.values()))[0]


@pytest.mark.slow
def test_both_sides_read_the_same(tmp_path):
    ours = write_timelines(tmp_path / "ours", LAYOUT)
    peers = write_impressions(tmp_path / "peer", LAYOUT)
    assert peers > ours
    found = {"ours": [], "peer": []}
    for batch in our_batches(tmp_path / "ours", LAYOUT):
        b = {name: x.numpy() for name, x in batch.items()}
        for i in range(len(b["time"])):
            past = tuple(b["history_item"][i, : b["n_history"][i]])
            for item, label in zip(b["item"][i], b["label_click"][i], strict=True):
                found["ours"].append(
                    (b["user_key"][i], b["time"][i], item, label, past)
                )
    for batch in peer_batches(tmp_path / "peer", LAYOUT):
        b = {name: x.numpy() for name, x in batch.items()}
        for i in range(len(b["time"])):
            past = tuple(b["history_item"][i, : b["n_history"][i]])
            row = b["user"][i], b["time"][i], b["item"][i], b["label_click"][i], past
            found["peer"].append(row)
    assert len(found["ours"]) == LAYOUT.count * LAYOUT.items
    assert sorted(found["ours"]) == sorted(found["peer"])


@pytest.mark.slow
def test_the_table_is_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(request_input, "memory", lambda *_: 2.0)
    request_input.compare(tmp_path, "smoke", next(iter(SMOKE)), 1)
    out = capsys.readouterr().out
    assert "bytes/request" in out and "MiB added" in out
    rate = out.split("requests/CPU-s")[1].split()[0]
    assert float(rate.replace(",", "")) > 0
