import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import train_speed
from benchmarks.bounds import Bounds
from benchmarks.train_data import HISTORY, SHOWN, Sizes, write_data
from benchmarks.train_speed import SIZES, Found
from benchmarks.train_workers import PEERS, Worker, python_of

TINY = replace(SIZES["smoke"], ids=(500,), rounds=2, steps=1, test=300, large=(90, 200))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("impressions") / "data.npz"
    with np.load(write_data(path, Sizes(500, 3000, 300))) as stored:
        return path, dict(stored)


def test_rows_and_requests_are_the_same_impressions(data):
    found = data[1]
    item, count = found["request_item"], found["request_count"]
    assert found["row_history"].shape == (3000, HISTORY)
    assert ((item != 0).sum(axis=1) == count).all()
    assert set(count) == set(range(SHOWN[0], SHOWN[1] + 1))
    clicks = sorted(zip(found["row_item"], found["row_label"], strict=True))
    shown = item != 0
    whole = sorted(zip(item[shown], found["request_label"][shown], strict=True))
    # The last request may go beyond the rows.
    assert 0 <= len(whole) - len(clicks) < SHOWN[1]
    assert found["row_item"].min() >= 2 and found["row_item"].max() < found["ids"]


def test_clicks_follow_what_history_and_candidate_have_in_common(data):
    found = data[1]
    kind = (found["row_item"] - 2) % 8
    same = ((found["row_history"] - 2) % 8 == kind[:, None]).mean(axis=1)
    often = found["row_label"][same > 0.25].mean()
    assert often > 2 * found["row_label"][same <= 0.25].mean()


def test_area_counts_pairs():
    code = (
        "import numpy as np; from rounds import area; "
        "print(area(np.array([0, 1, 1, 0]), np.array([0.2, 0.2, 0.5, 0.1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PEERS, capture_output=True, text=True
    )
    # 0.2 over 0.1, 0.5 over both, and a tie: 3.5 of 4 pairs.
    assert json.loads(done.stdout) == 0.875


def test_half_an_environment_is_taken_away(tmp_path, monkeypatch):
    def create(folder, with_pip):
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").touch()

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.train_workers.venv.create", create)
    monkeypatch.setattr("benchmarks.train_workers.subprocess.run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        python_of("deepctr", tmp_path)
    assert not (tmp_path / "deepctr").exists()


@pytest.mark.slow
def test_compares_without_peers(capsys):
    train_speed.compare(500, TINY, {}, Bounds(judged=False))
    out = capsys.readouterr().out
    assert "tfmm requests" in out and "tfmm rows" in out


@pytest.mark.slow
def test_a_worker_that_ends_says_why(data):
    worker = Worker(sys.executable, "deepctr", str(data[0]), "0.01", "64")
    with pytest.raises(RuntimeError, match="No module named 'deepctr'"):
        worker.answer()
    worker.close()


def test_report_judges_speed_and_area(capsys):
    slow, fast = Found([100.0], [50.0], 0.7, 9.0), Found([500.0], [90.0], 0.69, 9.0)
    bounds = Bounds(judged=True)
    found = {"requests": fast, "rows": slow, "fuxictr": slow}
    train_speed.report(500, Sizes(500, 64, 64), found, bounds)
    out = capsys.readouterr().out
    assert "requests / fuxictr: 5.00x, at least 4: ok; AUC -0.0100" in out
    assert "rows / fuxictr: 1.00x, at least 4: MISSED; AUC +0.0000, at" in out
    assert bounds.exit_code == 1


@pytest.mark.slow
def test_steps_are_compared(capsys):
    bounds = Bounds(judged=False)
    train_speed.large_tables(TINY, bounds)
    train_speed.multimodal(TINY, bounds)
    out = capsys.readouterr().out
    assert out.count("ratio") == 4
