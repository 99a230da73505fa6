import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfmm.serving.json_text import json_texts


def as_documented(value, digits):
    """Six digits if they read back as the same number, else all of them."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.6g}"
    if type(value)(text) != value:
        text = f"{value:.{digits}g}"
    return text if "." in text or "e" in text else text + ".0"


def specials(dtype):
    info = np.finfo(dtype)
    found = [0.0, -0.0, 1, -1, 1e5, 999999, 1e6, 1e7, 0.1, 1e-4, 1e-5, 123456, 1234567]
    return [*found, info.max, info.min, info.tiny, info.smallest_subnormal, np.nan]


@pytest.mark.parametrize(("dtype", "digits"), [(np.float32, 9), (np.float64, 17)])
def test_digits(dtype, digits):
    generator = np.random.default_rng(0)
    bits = np.uint32 if dtype is np.float32 else np.uint64
    random = generator.integers(0, np.iinfo(bits).max, 5000, bits).view(dtype)
    random = random[np.isfinite(random)]
    short = np.round(generator.normal(0, 1, 2000), 4) * 10.0 ** generator.integers(
        -20, 20, 2000
    )
    values = np.concatenate([random, short.astype(dtype), dtype(specials(dtype))])
    found = json_texts("y", values, axes=1)
    expected = [as_documented(value, digits) for value in values]
    assert [(f, e) for f, e in zip(found, expected, strict=True) if f != e] == []
    read = np.array(found).astype(dtype)
    np.testing.assert_array_equal(read, values)


@given(
    arrays.arrays(
        np.int64,
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
        elements=st.integers(-(2**63), 2**63 - 1),
    )
)
def test_any_shape(array):
    (text,) = json_texts("y", array)
    assert json.loads(text) == array.tolist()
    if array.ndim:
        rows = json_texts("y", array, axes=1)
        assert list(map(json.loads, rows)) == array.tolist()


@given(st.lists(st.text()))
def test_any_text(texts):
    array = np.array([text.encode("utf-8", "replace") for text in texts], object)
    (found,) = json_texts("y", array)
    assert json.loads(found) == [value.decode() for value in array]
