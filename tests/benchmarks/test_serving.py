import numpy as np
import pytest

from benchmarks import serving, serving_data


@pytest.mark.slow
def test_measures_and_prints(capsys):
    assert serving.main(["--size", "smoke", "--seconds", "0.5"]) == 0
    printed = capsys.readouterr().out
    for part in (
        "p50 ms",
        "the server over gRPC adds",
        "the server over REST adds",
        "the flat way, gRPC",
        "16 clients over REST",
        "0 failures",
    ):
        assert part in printed


def test_the_flat_way_repeats_the_user():
    request = serving_data.request(items=50, candidates=3, history=4)
    flat = serving_data.flat(request)
    assert flat["item_id"].tolist() == request["item_id"][0].tolist()
    assert flat["history_item_id"].shape == (3, 4)
    assert (flat["history_item_id"] == request["history_item_id"]).all()
    assert flat["n_history"].tolist() == [4, 4, 4] and "n_items" not in flat
    assert {len(np.atleast_1d(value)) for value in flat.values()} == {3}
