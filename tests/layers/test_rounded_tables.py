"""Rounded tables against a plain reference, and models that are as they were."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfmm.errors import TfmmError
from tfmm.layers import Embedding, SmallEmbedding, rounded_tables
from tfmm.layers.rounded_tables import STORAGES, Float16Rows, Int8Rows

FLOATS = st.floats(-6e4, 6e4, width=32, allow_subnormal=False)
TABLES = arrays.arrays(np.float32, (4, 3), elements=FLOATS)
ALL = np.arange(4)


def model_of(table):
    layer = Embedding(*table.shape, name="ids")
    small = SmallEmbedding(*table.shape, name="types")
    ids = keras.Input([2], dtype="int32")
    model = keras.Model(ids, keras.layers.Add()([layer(ids), small(ids)]))
    for embedding in (layer, small):
        embedding.table.assign(table)
    return model


def by_row(values):
    """Int8 by row, in float64: [127, -50.4] / 100 -> codes 127, -50."""
    largest = np.abs(values).max()
    if not largest:
        return values
    return np.rint(values / largest * 127) * largest / 127


@given(TABLES)
def test_int8_is_within_half_a_step_of_each_rows_largest(table):
    found = np.asarray(Int8Rows(table)(ALL), np.float64)
    step = np.abs(table).max(axis=1, keepdims=True).astype(np.float64) / 127
    assert (np.abs(found - table) <= 0.5001 * step + 1e-36).all()


@given(arrays.arrays(np.int8, (4, 3)), st.integers(-20, 20))
def test_int8_equals_the_reference(codes, power):
    # Halves would round this way or that by a last bit.
    table = codes.astype(np.float32) * np.float32(2.0**power)
    expected = np.stack([by_row(row) for row in table.astype(np.float64)])
    halves = np.abs(table / np.abs(table).max(1, keepdims=True).clip(1e-30) * 127) % 1
    kept = np.abs(halves - 0.5) > 1e-4
    found = np.asarray(Int8Rows(table)(ALL))
    np.testing.assert_allclose(found[kept], expected[kept], rtol=1e-6)


@given(TABLES)
def test_float16_is_numpys(table):
    expected = table.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(Float16Rows(table)(ALL), expected)


def test_rows_by_hand():
    # 0.504 / 1.27 * 127 = 50.4 -> 50 -> 0.5; the second row has a scale of its own.
    rows = Int8Rows(np.float32([[1.27, -0.504], [0.0127, 0.0005]]))
    np.testing.assert_allclose(rows([0, 1]), [[1.27, -0.5], [0.0127, 0.0005]], 1e-6)


@pytest.mark.parametrize("storage", STORAGES)
def test_predictions_inside_and_afterwards(storage):
    table = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    model, ids = model_of(table), np.array([[0, 3], [2, 1]])
    before = model.predict(ids, verbose=0)  # Traced with the table.
    rounded = {
        "float32": table,
        "float16": table.astype(np.float16).astype(np.float32),
        "int8": np.stack([by_row(row) for row in table]),
    }[storage]
    expected = (rounded[ids] + table[ids]) * (ids > 0)[..., None]  # types stay.
    weights = model.get_weights()
    with rounded_tables(model, storage):
        np.testing.assert_allclose(model.predict(ids, verbose=0), expected, atol=1e-6)
        np.testing.assert_allclose(model(ids), expected, atol=1e-6)
        assert len(model.weights) == len(weights)
    np.testing.assert_array_equal(model.predict(ids, verbose=0), before)
    np.testing.assert_array_equal(model.get_weights(), weights)


def test_the_model_is_as_it_was_after_a_failure():
    model = model_of(np.ones((4, 3), np.float32))
    with pytest.raises(RuntimeError), rounded_tables(model, "int8"):
        raise RuntimeError
    assert model.get_layer("ids").rounded is None


@pytest.mark.parametrize(
    ("value", "storage", "message"),
    [
        (1.0, "int4", "stored as float32, float16, int8. Received: 'int4'"),
        (7e4, "float16", "Received: 70000.0. Store the tables as int8"),
        (np.nan, "float16", "Received: nan"),
        (np.inf, "int8", "NaN or infinity in 4 rows"),
    ],
)
def test_what_cannot_be_stored_is_refused(value, storage, message):
    model = model_of(np.full((4, 3), value, np.float32))
    with pytest.raises(TfmmError, match=message), rounded_tables(model, storage):
        pass
    assert model.get_layer("ids").rounded is None


def test_a_model_without_tables_is_refused():
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    with (
        pytest.raises(TfmmError, match="Received: Sequential without any"),
        rounded_tables(model, "int8"),
    ):
        pass
    with rounded_tables(model, "float32"):
        pass
