import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.ranking.exact_top_k import top_k


@pytest.mark.parametrize("k", [1, 3, 40, 100])
def test_a_full_sort_finds_the_same(k, monkeypatch):
    monkeypatch.setattr("tfmm.ranking.exact_top_k.CHUNK_BYTES", 4 * 38 * 7)
    rng = np.random.default_rng(0)
    users = rng.integers(-2, 3, (50, 3)).astype("float32")  # Many scores tie.
    items = rng.integers(-2, 3, (40, 3)).astype("float32")
    rows, scores = top_k(users, items, k)
    products = users @ items[2:].T
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(rows, order + 2)
    np.testing.assert_array_equal(scores, np.take_along_axis(products, order, 1))
    assert rows.shape == (50, min(k, 38))


def test_nobody_asks():
    rows, scores = top_k(np.zeros((0, 2)), np.ones((5, 2)), 3)
    assert rows.shape == scores.shape == (0, 3)


@pytest.mark.parametrize(
    ("users", "items", "k", "message"),
    [
        (np.ones((1, 2)), np.ones((5, 2)), 0, "k=0, 3 items"),
        (np.ones((1, 2)), np.ones((2, 2)), 1, "k=1, 0 items"),
        (np.ones((1, 2)), np.ones((5, 3)), 1, r"\(1, 2\) and \(5, 3\)"),
        (np.full((1, 2), np.nan), np.ones((5, 2)), 1, "must be finite"),
    ],
)
def test_errors_teach(users, items, k, message):
    with pytest.raises(TfmmError, match=message):
        top_k(users, items, k)
