"""The reader's benchmark, at its smallest."""

import sys

import pytest

from benchmarks import taobao_mm_reader as bench
from benchmarks.taobao_mm_data import Size, write


def test_all_ways_read_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "ITEMS", 50)
    monkeypatch.setattr(bench, "HISTORY", 10)
    ways = bench.sources(tmp_path, 30)
    work, shards = ways["plain loop"]
    assert work(shards) == bench.rows_of(shards) > 300
    convert, source = ways["raw tables"]
    convert(source)
    assert not source.with_name(source.name + "-out").exists()


def test_made_up_rows_are_the_same_in_both_layouts(tmp_path):
    import pyarrow.parquet as pq

    source = write(tmp_path / "both", Size(users=20, items=40, history=5))
    joined = pq.read_table(source / "train").select(["label_0", "129_1", "205"])
    assert joined == pq.read_table(source / "raw/train_samples.parquet")
    clicked = [second for _, second in joined["label_0"].to_pylist()]
    assert 0 < sum(clicked) < len(clicked)


@pytest.mark.slow
def test_the_smoke_size_prints_a_table(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["taobao_mm_reader", "--size", "smoke"])
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 6
    assert lines[-1].split()[2:4] == ["plain", "loop"]
