import pytest

from benchmarks import row_optimizers


def test_ours_is_right_where_stock_is_not():
    for name, stock, ours in row_optimizers.deviations():
        assert ours < 1e-6, name
        assert stock > 1e-2, name


@pytest.mark.slow
def test_smoke(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["row_optimizers", "--size", "smoke"])
    monkeypatch.setitem(row_optimizers.SIZES, "smoke", ([500], 1))
    row_optimizers.main()
    out = capsys.readouterr().out
    for name in row_optimizers.CASES:
        assert f" {name} " in out
    assert out.splitlines()[-1].endswith("x")
