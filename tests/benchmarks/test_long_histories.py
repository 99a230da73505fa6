import pytest

from benchmarks import long_histories


@pytest.mark.slow
def test_measures_and_prints(capsys):
    assert long_histories.main(["--size", "smoke"]) == 0
    printed = capsys.readouterr().out
    for part in ("fit over floor", "rows/s", "peak memory of training"):
        assert part in printed
