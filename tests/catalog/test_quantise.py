import sys

import numpy as np
import pytest

from tfmm.catalog import VectorTable, quantise
from tfmm.errors import TfmmError


def test_codes_by_hand():
    table = quantise([[1.0, -0.5, 0.25], [0.0, 0.0, 0.0], [-2e-3, 0.0, 0.0]])
    # 127 * [1, -.5, .25] = [127, -63.5, 31.75], half to even: -64, 32
    assert table.codes.tolist() == [[127, -64, 32], [0, 0, 0], [-127, 0, 0]]
    expected = [1 / np.sqrt(127**2 + 64**2 + 32**2), 0, 1 / 127]
    np.testing.assert_allclose(table.inverse_norm, expected, rtol=1e-7)
    assert table.present.tolist() == [True, False, True]
    assert table.codes.dtype == np.int8 and table.inverse_norm.dtype == np.float32


def test_scale_and_dtype_of_a_row_do_not_matter():
    rows = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    scales = np.float32(2) ** np.arange(-25, 25)[:, None]
    np.testing.assert_array_equal(quantise(rows).codes, quantise(rows * scales).codes)


def test_subnormal_and_huge_rows():
    table = quantise(np.array([[5e-324, 0.0], [1e308, -1e308]]))
    assert table.codes.tolist() == [[127, 0], [127, -127]]


def test_codes_quantise_to_themselves():
    codes = quantise(np.random.default_rng(1).normal(size=(200, 32))).codes
    np.testing.assert_array_equal(quantise(codes).codes, codes)


def test_cosines_are_close_to_the_unquantised():
    rows = np.random.default_rng(2).normal(size=(300, 64))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    table = quantise(rows)
    np.testing.assert_allclose(table.cosines(7), unit @ unit[7], atol=0.015)
    np.testing.assert_allclose(
        table.unit_vectors() @ table.unit_vectors()[7], table.cosines(7), atol=1e-6
    )


def test_chunks_do_not_matter(monkeypatch):
    rows = np.random.default_rng(3).normal(size=(10, 4))
    whole = quantise(rows)
    monkeypatch.setattr(sys.modules["tfmm.catalog.quantise"], "_CHUNK", 3)
    parts = quantise(rows)
    np.testing.assert_array_equal(whole.codes, parts.codes)
    np.testing.assert_array_equal(whole.inverse_norm, parts.inverse_norm)
    np.testing.assert_array_equal(whole.cosines(2), parts.cosines(2))


def test_filled_and_padded():
    part = quantise([[1.0, 0.0], [0.0, 0.0]])
    table = VectorTable.empty(4, 2).filled(np.array([3, 2]), part).padded(5)
    assert table.present.tolist() == [False, False, False, True, False]
    assert table.codes[3].tolist() == [127, 0]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[1.0, np.nan]], "NaN or infinity in 1 rows, first row 0"),
        ([[1.0], [np.inf]], "first row 1"),
        ([1.0, 2.0], r"shape \(2,\)"),
        (np.zeros((3, 0)), r"shape \(3, 0\)"),
        ([["a", "b"]], "dtype"),
        ([[1.0], [1.0, 2.0]], "same length"),
    ],
)
def test_refuses(vectors, message):
    with pytest.raises(TfmmError, match=message):
        quantise(vectors)
