import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.pretrain.slices import band_names, frequency_bands, slice_table


def test_each_label_has_its_own_numbers():
    nan = np.nan
    ranks = np.array([[1, 4], [2, nan], [1, nan], [9, nan]])
    table = slice_table(ranks, ["a", "a", "b", ""], "kind", k=[1, 2])
    by_label = {one.label: one for one in table.slices}
    assert [one.label for one in table.slices] == ["a", "(none)", "b"]
    assert by_label["a"].queries == 2
    assert by_label["a"].accuracy == {1: 0.5, 2: 1.0}
    assert by_label["a"].recall == {1: 0.25, 2: 0.75}
    assert by_label["(none)"].accuracy == {1: 0.0, 2: 0.0}
    assert table.total.accuracy == {1: 0.5, 2: 0.75}
    # The whole is the mean of its parts, weighted by their queries.
    parts = sum(one.queries * one.recall[2] for one in table.slices)
    assert table.total.recall[2] == parts / 4


def test_missing_labels_have_one_slice():
    labels = ["a", None, np.nan, "", float("nan")]
    table = slice_table(np.ones((5, 1)), labels, "kind")
    assert [(x.label, x.queries) for x in table.slices] == [("(none)", 4), ("a", 1)]


def test_bands_of_how_often_an_item_was_bought_in_training():
    train = [1] * 1 + [2] * 2 + [4] * 4 + [5] * 5 + [100] * 100
    bands = frequency_bands([0, 1, 2, 4, 5, 100], train)
    assert bands == ["0", "1", "2-4", "2-4", "5-9", "100+"]
    table = slice_table(np.ones((6, 1)), bands, "training pairs", order=band_names())
    assert [one.label for one in table.slices] == ["0", "1", "2-4", "5-9", "100+"]


def test_errors():
    with pytest.raises(TfmmError, match="1 labels of 'kind' for 2 queries"):
        slice_table(np.ones((2, 1)), ["a"], "kind")
    with pytest.raises(TfmmError, match="ascend from 0"):
        band_names([1, 2])
