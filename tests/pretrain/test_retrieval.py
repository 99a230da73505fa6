import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.pretrain.retrieval import accuracy_at


def brute_force(queries, query_items, vectors, ids, k):
    """One query, one candidate at a time; ties share the mean of their ranks."""
    seen = {}
    for item, vector in zip(ids, vectors, strict=True):
        seen.setdefault(item, vector)
    hits = 0
    for query, own in zip(queries, query_items, strict=True):
        score = query @ seen[own]
        others = [query @ vector for item, vector in seen.items() if item != own]
        better = sum(other > score + 1e-6 for other in others)
        level = sum(abs(other - score) <= 1e-6 for other in others)
        hits += 1 + better + level / 2 <= k
    return hits / len(queries)


@pytest.mark.parametrize("chunk_size", [1, 7, 1000])
def test_equals_brute_force_with_ties_and_repeated_items(chunk_size):
    random = np.random.default_rng(0)
    ids = random.integers(100, 130, 60)
    points = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0.6, 0.8]])
    vectors = points[random.integers(0, 4, 60)]
    query_items = random.choice(ids, 40)
    queries = points[random.integers(0, 4, 40)]
    result = accuracy_at(
        queries, query_items, vectors, ids, k=(1, 5, 20), chunk_size=chunk_size
    )
    for k, value in result.items():
        assert value == brute_force(queries, query_items, vectors, ids, k)


def test_a_collapsed_tower_gains_nothing():
    # All ten items tie: mean rank 5.5.
    ones = np.ones((10, 2))
    result = accuracy_at(ones, np.arange(10), ones, np.arange(10), k=(1, 5, 6))
    assert result == {1: 0.0, 5: 0.0, 6: 1.0}


def test_order_never_matters():
    random = np.random.default_rng(1)
    vectors, ids = random.normal(size=(30, 4)), np.arange(30)
    queries = vectors + random.normal(size=(30, 4))
    shuffle = random.permutation(30)
    mixed = accuracy_at(queries[shuffle], ids[shuffle], vectors[::-1], ids[::-1])
    assert mixed == accuracy_at(queries, ids, vectors, ids)


def test_no_query_is_no_number():
    nothing = accuracy_at(np.zeros((0, 2)), np.zeros(0, int), np.ones((1, 2)), [3])
    assert np.isnan(nothing[1])


def test_errors():
    one = np.ones((1, 2))
    with pytest.raises(TfmmError, match="item 4 without a vector"):
        accuracy_at(one, np.array([4]), one, np.array([3]))
    with pytest.raises(TfmmError, match="shapes"):
        accuracy_at(one, np.array([3]), np.ones((1, 3)), np.array([3]))
