from itertools import pairwise

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.evaluation.columns import Columns
from tfmm.evaluation.item_groups import item_groups, new_items


def shown(items):
    n = len(items)
    return Columns(
        np.arange(n), items, np.arange(n), np.arange(n) % 2, [0.5] * n, items
    )


def test_groups_by_hand():
    # items 2..5, trained 9, 1, 4, 4 times, shown 1, 3, 2, 2 times
    columns = shown([2, 3, 3, 3, 4, 4, 5, 5])
    count = np.array([0, 0, 9, 1, 4, 4])
    groups, of_row = item_groups(columns, count, columns.item > 0, groups=2)
    # rarest first: 3 of 8, then 4 with the same count, then 1
    assert of_row.tolist() == [1, 0, 0, 0, 1, 1, 1, 1]
    assert [(g.low, g.high, g.items, g.impressions) for g in groups] == [
        (1, 1, 1, 3),
        (4, 9, 3, 5),
    ]
    assert [g.span for g in groups] == ["1", "4–9"]


def test_eight_groups_of_about_equal_impressions_in_order():
    rng = np.random.default_rng(0)
    columns = shown(rng.integers(2, 500, 8000))
    count = rng.permutation(500) * 3
    trained = columns.item % 5 > 0
    groups, of_row = item_groups(columns, count, trained)
    assert len(groups) == 8 and (of_row[~trained] == -1).all()
    for earlier, later in pairwise(groups):
        assert earlier.high < later.low
    sizes = [group.impressions for group in groups]
    assert sum(sizes) == trained.sum() and max(sizes) < 1.1 * min(sizes)


def test_equal_counts_stay_together():
    columns = shown(np.arange(2, 102))
    groups, of_row = item_groups(columns, np.full(102, 7), columns.item > 0)
    assert len(groups) == 1 and (of_row == 0).all()
    assert item_groups(columns, np.full(102, 7), columns.item < 0)[0] == ()


def test_new_items_have_no_row_of_their_own():
    assert new_items(shown([2, 3, 4]), np.array([0, 0, 1, 2, 0])).tolist() == [
        True,
        False,
        True,
    ]
    with pytest.raises(TfmmError, match="row 4 of 3"):
        item_groups(shown([2, 4]), np.zeros(3, int), np.ones(2, bool))
