"""Vectors that ride along are quantised and found as the catalog's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tfmm.catalog.quantise import quantise
from tfmm.layers.frozen_vectors import FrozenVectors
from tfmm.layers.new_vectors import WithNewVectors, quantised

SCALES = st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e6, 1e30])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(SCALES, min_size=1, max_size=5))
def test_codes_are_the_catalogs_to_the_last_bit(seed, scales):
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(len(scales), 7)) * np.array(scales)[:, None]
    vectors = vectors.astype(np.float32)
    expected, found = quantise(vectors), quantised(vectors)
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.inverse_norm, expected.inverse_norm)
    np.testing.assert_array_equal(found.present, expected.present)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_vector(value):
    found = quantised(np.array([[1, value], [3, 4]], np.float32))
    assert ops.convert_to_numpy(found.present).tolist() == [False, True]
    assert ops.convert_to_numpy(found.codes).tolist() == [[0, 0], [95, 127]]


@pytest.fixture
def table():
    found = FrozenVectors(rows=4, dimension=2)
    own = quantise(np.array([[0, 0], [0, 0], [1, 0], [0, 2]], np.float32))
    found.assign(own.codes, own.inverse_norm, own.present)
    return found


def test_rows_beyond_the_table_are_the_new_ones(table):
    new = np.array([[[1, 1], [0, 0]], [[0, 3], [2, 0]]], np.float32)
    found = WithNewVectors(table, new)(np.array([[3, 4, 5], [2, 6, 7]]))
    assert ops.convert_to_numpy(found.codes).tolist() == [
        [[0, 127], [127, 127], [0, 0]],
        [[127, 0], [0, 127], [127, 0]],
    ]
    present = ops.convert_to_numpy(found.present).tolist()
    assert present == [[True, True, False], [True, True, True]]


def test_none_at_all(table):
    found = WithNewVectors(table, np.zeros((2, 0, 2), np.float32))(np.array([2, 1]))
    assert ops.convert_to_numpy(found.present).tolist() == [True, False]
