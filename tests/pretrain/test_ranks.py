"""Exact ranks against a loop over single queries and candidates."""

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.pretrain.ranks import accuracy, answer_ranks, recall


def brute_force(queries, vectors, answers, ids):
    """One query, one candidate at a time; ties share the mean of their ranks."""
    ranks = np.full(answers.shape, np.nan)
    for row, query in enumerate(queries):
        best = {}
        for name, vector in zip(ids, vectors, strict=True):
            best[name] = max(best.get(name, -np.inf), query @ vector)
        for place, answer in enumerate(answers[row]):
            if answer >= 0:
                own = best[answer]
                others = [score for name, score in best.items() if name != answer]
                better = sum(score > own + 1e-6 for score in others)
                level = sum(abs(score - own) <= 1e-6 for score in others)
                ranks[row, place] = 1 + better + level / 2
    return ranks


@pytest.mark.parametrize("chunk", [(1, 1), (7, 5), (1024, 8192)])
@pytest.mark.parametrize("answers_each", [1, 3])
def test_equals_brute_force_with_ties_and_groups(chunk, answers_each):
    random = np.random.default_rng(0)
    ids = random.integers(100, 130, 60)
    points = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0.6, 0.8]])
    vectors, queries = points[random.integers(0, 4, (2, 60))]
    answers = np.array([random.permutation(np.unique(ids))[:answers_each] for _ in ids])
    answers[::2, 1:] = -1
    ranks = answer_ranks(queries, vectors, answers, ids, chunk=chunk)
    np.testing.assert_array_equal(ranks, brute_force(queries, vectors, answers, ids))


def test_equals_brute_force_with_groups_of_many_sizes():
    random = np.random.default_rng(5)
    vectors, queries = random.integers(-9, 9, (2, 300, 8))
    ids = random.permutation(300) // 2
    ids[ids > 120] = 150
    answers = random.choice(ids, 300)[:, None]
    ranks = answer_ranks(queries, vectors, answers, ids, chunk=(64, 50))
    np.testing.assert_array_equal(ranks, brute_force(queries, vectors, answers, ids))


def test_a_query_is_answered_by_any_item_of_its_group():
    # Nearest to the query: item 1, then 0, then 2. Items 1 and 2 are one product.
    vectors, query = np.array([[0.8, 0.6], [1, 0], [0, 1]]), [[1, 0]]
    assert answer_ranks(query, vectors, [2]).tolist() == [[3]]
    assert answer_ranks(query, vectors, [2], ids=[0, 2, 2]).tolist() == [[1]]
    # As one candidate they also stand in the way only once.
    assert answer_ranks(query, vectors, [0], ids=[0, 2, 2]).tolist() == [[2]]


def test_accuracy_and_recall_with_several_answers():
    # Ranks 1 and 3 of two answers; rank 2 of one.
    vectors, queries = np.eye(3), np.array([[3, 2, 1], [2, 3, 1]])
    ranks = answer_ranks(queries, vectors, [[2, 0], [0, -1]])
    np.testing.assert_array_equal(ranks, [[3, 1], [2, np.nan]])
    assert [accuracy(ranks, n) for n in (1, 2, 3)] == [0.5, 1, 1]
    assert [recall(ranks, n) for n in (1, 2, 3)] == [0.25, 0.75, 1]


def test_an_answer_that_is_listed_twice_counts_once():
    ranks = answer_ranks([[3, 2, 1]], np.eye(3), [[0, 0, 2]])
    np.testing.assert_array_equal(ranks, [[1, 3, np.nan]])
    assert recall(ranks, 1) == 0.5


def test_a_collapsed_tower_gains_nothing():
    # All ten items tie: mean rank 5.5.
    ranks = answer_ranks(np.ones((10, 2)), np.ones((10, 2)), np.arange(10))
    assert ranks.tolist() == [[5.5]] * 10


def test_order_never_matters():
    random = np.random.default_rng(1)
    vectors, ids = random.normal(size=(30, 4)), np.arange(30)
    queries = vectors + random.normal(size=(30, 4))
    shuffle = random.permutation(30)
    mixed = answer_ranks(queries[shuffle], vectors[::-1], ids[shuffle], ids[::-1])
    straight = answer_ranks(queries, vectors, ids, ids)
    np.testing.assert_array_equal(mixed, straight[shuffle])


def test_no_query_is_no_number():
    ranks = answer_ranks(np.zeros((0, 2)), np.ones((1, 2)), np.zeros(0, int))
    assert np.isnan(accuracy(ranks, 1)) and np.isnan(recall(ranks, 1))


@pytest.mark.parametrize(
    ("answers", "items", "message"),
    [
        ([4], np.ones((1, 2)), "item 4 without a vector"),
        ([0], np.ones((1, 3)), "shapes"),
        ([-1], np.ones((1, 2)), "at least one answer"),
        ([0], np.full((1, 2), np.nan), "vectors of the items .* lower learning rate"),
    ],
)
def test_errors(answers, items, message):
    with pytest.raises(TfmmError, match=message):
        answer_ranks(np.ones((1, 2)), items, answers)
