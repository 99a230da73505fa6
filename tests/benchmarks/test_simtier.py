import numpy as np

from benchmarks.bounds import Bounds
from benchmarks.simtier import SIZES, counters, measure


def test_both_forms_count_alike_and_the_table_names_them(capsys):
    assert measure(SIZES["smoke"], Bounds(judged=False))
    table = capsys.readouterr().out
    assert "B=4 N=2 L=50" in table and "counts equal: True" in table
    assert table.index("one_hot") < table.index("sim_tier")


def test_the_peer_counts_every_valid_pair():
    forms = counters(SIZES["smoke"].cases[0])
    one_hot = forms["one_hot"].run()
    # 4 * 2 * 50 pairs of 21 slots, and of one tier, in float32
    assert forms["one_hot"].largest == 4 * 2 * 50 * 21 * 4 / 2**20
    assert forms["sim_tier"].largest == 4 * 2 * 50 * 4 / 2**20
    assert one_hot.shape == (4, 2, 20)
    assert np.all(one_hot.sum(-1) <= 50) and one_hot.sum() > 300
