import math

import numpy as np
import pytest
from keras import ops

from tfmm.pretrain.losses import info_nce, masked_mean, triplet

QUERY = np.array([[1.0, 0.0], [0.0, 1.0]])
KEYS = np.array([[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]])


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def test_info_nce_by_hand():
    # Row 0: similarities [0.6, 0, 1], positive 0; row 1: [0.8, 1, 0], positive 1.
    tau = 0.5
    expected = [
        -1.2 + math.log(math.exp(1.2) + math.exp(0.0) + math.exp(2.0)),
        -2.0 + math.log(math.exp(1.6) + math.exp(2.0) + math.exp(0.0)),
    ]
    np.testing.assert_allclose(numbers(info_nce(QUERY, KEYS, tau)), expected, rtol=1e-6)


def test_info_nce_takes_the_positive_from_its_place():
    losses = numbers(info_nce(QUERY, KEYS, 1.0, positive=np.array([2, 0])))
    # Row 0's positive has similarity 1, row 1's 0.8.
    expected = [
        -1.0 + math.log(math.exp(0.6) + 1.0 + math.e),
        -0.8 + math.log(math.exp(0.8) + math.e + 1.0),
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_masked_keys_leave_the_sum_but_the_positive_stays():
    mask = np.array([[False, True, False], [False, False, False]])
    losses = numbers(info_nce(QUERY, KEYS, 1.0, mask=mask))
    np.testing.assert_allclose(
        losses, [-0.6 + math.log(math.exp(0.6) + 1.0), 0.0], atol=1e-6
    )


def test_bank_equals_keys_put_behind_the_batch():
    bank = np.array([[0.8, 0.6], [-1.0, 0.0]])
    mask = np.array([[True, False], [True, True]])
    split = info_nce(QUERY, KEYS, 0.1, bank=bank, bank_mask=mask)
    together = info_nce(
        QUERY,
        np.concatenate([KEYS, bank]),
        0.1,
        mask=np.concatenate([np.ones((2, 3), bool), mask], axis=1),
    )
    np.testing.assert_allclose(numbers(split), numbers(together), rtol=1e-5)


def test_an_empty_bank_changes_nothing():
    empty = info_nce(
        QUERY, KEYS, 0.1, bank=np.zeros((5, 2)), bank_mask=np.zeros((2, 5), bool)
    )
    np.testing.assert_allclose(numbers(empty), numbers(info_nce(QUERY, KEYS, 0.1)))


def test_triplet_by_hand():
    negative = np.array([[0.8, 0.6], [1.0, 0.0]])
    losses = triplet(QUERY, KEYS[:2], negative, margin=0.1)
    # Row 0: 0.1 + 0.8 - 0.6; row 1: max(0, 0.1 + 0 - 1).
    np.testing.assert_allclose(numbers(losses), [0.3, 0.0], atol=1e-6)
    masked = triplet(QUERY, KEYS[:2], negative, 0.1, mask=np.array([False, True]))
    np.testing.assert_allclose(numbers(masked), [0.0, 0.0])


def test_masked_mean_of_nothing_is_zero():
    nothing = masked_mean(np.array([np.inf, np.nan]), np.array([False, False]))
    assert float(nothing) == 0.0
    assert float(masked_mean(np.array([1.0, 3.0]), np.array([True, True]))) == 2.0


def test_padding_rows_never_change_a_row():
    padded = np.concatenate([KEYS, np.ones((4, 2))])
    mask = np.array([[True] * 3 + [False] * 4] * 2)
    losses = numbers(info_nce(QUERY, padded, 0.2, mask=mask))
    assert losses == pytest.approx(numbers(info_nce(QUERY, KEYS, 0.2)), rel=1e-6)
