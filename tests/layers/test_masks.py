import numpy as np
from keras import ops

from tfmm.layers import keep_valid, masked_mean, pair_mask, valid_mask


def test_counts_become_masks():
    mask = ops.convert_to_numpy(valid_mask(np.array([0, 2, 3]), 3))
    assert mask.tolist() == [[False] * 3, [True, True, False], [True] * 3]


def test_keep_valid_removes_nan_and_wild_ids():
    mask = np.array([[True, False]])
    assert ops.convert_to_numpy(keep_valid([[5, 2**31 - 1]], mask)).tolist() == [[5, 0]]
    values = np.array([[[1.0, 2.0], [np.nan, np.inf]]], "float32")
    kept = ops.convert_to_numpy(keep_valid(values, mask))
    assert kept.tolist() == [[[1.0, 2.0], [0.0, 0.0]]]


def test_pair_mask_needs_both_sides():
    mask = pair_mask(np.array([[True, False]]), np.array([[True, False]]))
    assert ops.convert_to_numpy(mask).tolist() == [[[True, False], [False, False]]]


def test_masked_mean_divides_by_the_valid():
    values = np.array([[[2.0], [4.0], [90.0]], [[1.0], [1.0], [1.0]]], "float32")
    mask = np.array([[True, True, False], [False] * 3])
    # (2 + 4) / 2 = 3; nothing valid: 0
    assert ops.convert_to_numpy(masked_mean(values, mask)).tolist() == [[3.0], [0.0]]
