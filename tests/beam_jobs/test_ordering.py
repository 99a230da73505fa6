"""Sorting logs against numpy's plain way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.kernels.ordering import changes, order

# Ints of every size, and floats that are no whole steps apart.
COLUMNS = (
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.sampled_from([0, 1, 2**31, 2**32, -(2**63)]).map(np.int64),
    st.integers(0, 3).map(np.int32),
    st.sampled_from([0.0, 0.1, 1.1, np.nextafter(1.1, 2), -1e300, 2.0]),
    st.integers(0, 2).map(float),
)


@st.composite
def logs(draw):
    """Rows with repeated stretches; which columns lead; which break ties."""
    kinds = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=5))
    rows = draw(st.lists(st.tuples(*kinds), max_size=12))
    places = draw(st.lists(st.integers(0, 11), max_size=40)) * 2
    rows = [rows[place % len(rows)] for place in places] if rows else []
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    columns = columns or [np.zeros(0, np.int64) for _ in kinds]
    leading = draw(st.integers(1, len(columns)))
    return columns[:leading], columns[leading:]


@settings(max_examples=200, deadline=None)
@given(logs())
def test_order_equals_lexsort(log):
    leading, ties = log
    assert order(leading, ties).tolist() == np.lexsort([*ties, *leading]).tolist()


@pytest.mark.parametrize("size", [0, 1])
def test_changes_of_hardly_any_rows(size):
    assert changes(np.zeros(size)).tolist() == [True] * size
