import sys

import pytest

from benchmarks import gauc
from tfmm.evaluation import gauc as ours


def test_loops_and_stream_agree_with_ours():
    columns = gauc.impressions(600, 40)
    value = ours(*columns).value
    assert gauc.loop(columns, gauc.all_pairs) == pytest.approx(value, abs=1e-12)
    assert gauc.streamed(columns) == pytest.approx(value, abs=1e-12)
    # ties count as lost
    assert gauc.loop(columns, gauc.strict_pairs) < value


def test_the_table_names_every_peer(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gauc", "--size", "smoke"])
    gauc.main()
    shown = capsys.readouterr().out
    for part in ("2,000 rows, 100 users", "loop, all pairs", "MUSE", "times ours"):
        assert part in shown
