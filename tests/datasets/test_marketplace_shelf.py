"""The shelf draws by popularity within groups; taste is what it says."""

import numpy as np
import pytest

from tfmm.datasets.marketplace_shelf import Shelf
from tfmm.datasets.marketplace_world import match


def test_draws_in_proportion_to_popularity_and_within_the_group():
    items = np.array([10, 11, 12, 13])
    shelf = Shelf(items, np.array([2, 0, 2, 0]), np.array([3.0, 1.0, 1.0, 5.0]))
    rng = np.random.default_rng(0)
    drawn = shelf.draw(rng, np.full(20_000, 2))
    # Group 2 holds 10 and 12 with weights 3 and 1.
    assert set(drawn.tolist()) == {10, 12}
    assert (drawn == 10).mean() == pytest.approx(0.75, abs=0.015)
    drawn = shelf.draw(rng, np.full(20_000, -1))
    assert (drawn == 13).mean() == pytest.approx(0.5, abs=0.015)


def test_a_group_without_items_means_any():
    shelf = Shelf(np.array([4, 5]), np.array([0, 2]), np.ones(2))
    rng = np.random.default_rng(0)
    for group in (1, 7):
        assert set(shelf.draw(rng, np.full(100, group)).tolist()) == {4, 5}


def test_the_best_interest_counts():
    item = np.array([[3, 1, 4, 2]])
    # Same shape and style: 0.8 + 0.5; neighbouring colour and same pattern: 0.4 + 1.
    interests = np.array([[[3, 5, 0, 2], [0, 2, 4, 0]]])
    assert match(item, interests)[0] == pytest.approx(1.4)
    # All four: 0.8 + 1 + 1 + 0.5, and 0.8 for colour with pattern.
    assert match(item, item[:, None])[0] == pytest.approx(4.1)
