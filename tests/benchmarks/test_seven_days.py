"""The seven days' benchmark, at its smallest."""

import re
import sys

import numpy as np
import pytest

from benchmarks import seven_days as bench
from tfmm.records.index import ItemIndex
from tfmm.records.spec import RequestSpec
from tfmm.records.vocabularies import ItemTable, Vocabularies


def vocabularies(index, users):
    rows = np.arange(index.rows, dtype=np.int32)
    table = ItemTable(rows, np.zeros([len(rows), 0]), np.zeros([len(rows), 0]), rows)
    spec = RequestSpec(
        len(users) + 2, len(rows), len(rows), (), ("view",), ("click",), 5, 5
    )
    return Vocabularies({"user": users}, table, spec, index.stamp())


def test_an_older_ranker_does_not_know_what_came_later():
    index = ItemIndex.create(["a", "b"])  # catalog rows 2, 3; then c has row 4
    translate = bench.as_known(
        vocabularies(index, ["x", "y"]),
        vocabularies(index.extend(["c"]), ["new", "y", "x"]),
    )
    batch = translate(
        {
            "user": [2, 3, 4, 0],
            "item": [[2, 4], [3, 0]],
            "history_item": [[4, 3]],
            "history_type": [[2, 1]],
        }
    )
    assert batch["user"].tolist() == [1, 3, 2, 0]
    assert batch["item"].tolist() == [[2, 1], [3, 0]]
    assert batch["history_item"].tolist() == [[1, 3]]
    assert batch["history_type"].tolist() == [[2, 1]]


@pytest.mark.slow
def test_the_smoke_size_prints_a_table_and_goes_on(tmp_path, monkeypatch, capsys):
    arguments = ["seven_days", "--size", "smoke", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    bench.main()
    shown = capsys.readouterr().out
    assert re.search(r"day 5 warm start: GAUC 0\.\d{4}", shown)
    assert re.search(r"\nday 4 +0\.\d{4} +\n", shown)
    assert re.search(r"\nexamples +0 +[\d,]+ +[\d,]+ +warm / scratch 0\.\d\d\n", shown)
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert len(lines) == 4
    bench.main()
    assert "from scratch: GAUC" not in capsys.readouterr().out
    assert (tmp_path / "results.jsonl").read_text().splitlines() == lines
