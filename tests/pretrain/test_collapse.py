"""Planted collapses are found, healthy vectors are not."""

import numpy as np
import pytest

from tfmm.pretrain.collapse import collapse, nearest_places, uniformity, warning


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_even_vectors_are_healthy(random):
    items = unit(random.normal(size=(3000, 64)))
    state = collapse(items, items, np.arange(3000))
    assert not state.collapsed
    assert state.std == pytest.approx(1, abs=0.01)
    # log E exp(4 c - 4) = -4 + 8 / d for a normal cosine c of variance 1 / d.
    assert state.uniformity == pytest.approx(-4 + 8 / 64, abs=0.03)
    assert state.distinct == 1


def test_one_point_is_a_collapse(random):
    one = unit(np.ones((500, 64)) + 1e-6 * random.normal(size=(500, 64)))
    state = collapse(one, one, np.arange(500))
    assert state.collapsed
    assert state.std < 1e-4 and state.uniformity == pytest.approx(0, abs=1e-4)
    # All tie within rounding, so that the first item answers everything.
    assert state.distinct == 1 / 500
    assert "Lower the learning rate" in warning("image", state)


def test_cosines_that_all_print_as_one_are_a_collapse(random):
    # x = m + e with |e|^2 / |m|^2 = 0.06^2: mean cosine 1 / 1.0036 = 0.9964.
    near = unit(1 + 0.06 * random.normal(size=(500, 64)))
    wider = unit(1 + 0.3 * random.normal(size=(500, 64)))
    assert collapse(near, near, np.arange(500)).collapsed
    assert not collapse(wider, wider, np.arange(500)).collapsed


def test_one_side_suffices(random):
    items = unit(random.normal(size=(300, 16)))
    queries = np.tile(items[:1], (300, 1))
    state = collapse(queries, items, np.arange(300))
    assert state.collapsed and state.distinct == 1 / 300


def test_few_asked_items_are_no_collapse(random):
    items = unit(random.normal(size=(300, 16)))
    assert collapse(items[:2], items, [0, 1]).distinct == 1


def test_the_sample_is_bounded_and_seeded(random):
    items = unit(random.normal(size=(400, 8)))
    some = collapse(items, items, np.arange(400), sample=50)
    assert some == collapse(items, items, np.arange(400), sample=50)
    assert some.distinct == 1


def test_too_few_rows_are_no_number_and_no_collapse():
    state = collapse(np.ones((1, 2)), np.ones((1, 2)), [0])
    assert np.isnan(state.std) and not state.collapsed


def test_uniformity_by_hand():
    # Squared distances 2, 2 and 4.
    vectors = np.array([[1.0, 0], [0, 1.0], [-1.0, 0]])
    expected = np.log((2 * np.exp(-4) + np.exp(-8)) / 3)
    assert uniformity(vectors) == pytest.approx(expected, rel=1e-5)


def test_nearest_places_in_order_with_ties():
    items = np.array([[0.0, 1], [1, 0], [1, 0], [0.6, 0.8]])
    assert nearest_places(np.array([[1.0, 0]]), items, 3).tolist() == [[1, 2, 3]]
    assert nearest_places(np.array([[1.0, 0]]), items, 9).tolist() == [[1, 2, 3, 0]]
