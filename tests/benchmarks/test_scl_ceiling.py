import numpy as np
import pytest

from benchmarks.scl_ceiling import accuracies


def test_items_that_look_alike_are_guessed_among():
    # Items 0 to 5 look alike, 6 is unlike all; 7 looks like 6 but nobody asks for it.
    looks = np.array([[1, 2]] * 6 + [[1, 3]] * 2)
    asked = np.array([0, 1, 2, 3, 4, 5, 6, 6])
    first, five = accuracies(looks, asked)
    assert first == pytest.approx((6 / 6 + 2) / 8)
    assert five == pytest.approx((6 * 5 / 6 + 2) / 8)
