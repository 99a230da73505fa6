import numpy as np
import pytest

from benchmarks import beam_jobs_behaviours as behaviours
from benchmarks.beam_jobs_data import prepare
from benchmarks.process_cost import Cost, measured


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A log small enough for many requests of one user to share a moment's items."""
    folder = tmp_path_factory.mktemp("log")
    prepare(folder, 2000)
    behaviours.build(behaviours.OURS, folder, folder / "ours")
    return folder


def test_polars_writes_the_same_files(folder):
    pytest.importorskip("polars")
    behaviours.build(behaviours.POLARS, folder, folder / "polars")
    behaviours.check(behaviours.POLARS, folder / "ours", folder / "polars")
    assert len(behaviours.files(folder / "ours")) == 3 * behaviours.shards_of(folder)


@pytest.mark.slow
def test_a_pipeline_of_rows_writes_the_same_records(folder):
    behaviours.build(behaviours.ROWS, folder, folder / "rows")
    behaviours.check(behaviours.ROWS, folder / "ours", folder / "rows")
    (folder / "other/train").mkdir(parents=True)
    with pytest.raises(RuntimeError, match="wrote other records"):
        behaviours.check(behaviours.ROWS, folder / "ours", folder / "other")


def test_the_table_is_printed(tmp_path, capsys, monkeypatch):
    costs = iter([Cost(2.0, 1.0, 300.0, 100.0), Cost(4.0, 2.0, 200.0, 50.0)] * 2)
    monkeypatch.setattr(behaviours, "cost_apart", lambda *_: next(costs))
    monkeypatch.setattr(behaviours, "check", lambda *_: None)
    monkeypatch.setattr(behaviours, "prepare", lambda *_: None)
    monkeypatch.setattr(behaviours, "MOST_BY_ROW", 0)
    behaviours.section(tmp_path, [1024, 10_240], 1)
    lines = capsys.readouterr().out.splitlines()
    # 100 MiB over 1,024 rows are 100 KB a row; half the peer's CPU.
    assert lines[3].split() == ["1,024", "tfmm", "2.0", "1.0", "300", "100.00"]
    assert "0.50x" in lines[4]
    assert lines[-1] == "10 times the rows cost 1.0 times the CPU"


def test_costs_are_of_the_work_alone():
    sum(range(10_000_000))
    less, more = (measured(lambda n=n: sum(range(n))) for n in (1000, 10_000_000))
    assert 0 < less.wall < more.wall and less.cpu < more.cpu
    held = measured(lambda: np.ones(8 << 20))
    assert held.added >= 60 > less.added >= 0 and held.peak > held.added
