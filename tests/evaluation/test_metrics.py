import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.evaluation.metrics import auc, calibration, gauc, log_loss, user_aucs


def slow_auc(labels, scores):
    pairs = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p in scores[labels == 1]
        for n in scores[labels == 0]
    ]
    return sum(pairs) / len(pairs)


def test_auc_by_hand():
    # positives 0.8, 0.4; negatives 0.4, 0.1: wins 1 + 1 + 0.5 + 1 of 4
    assert auc([1, 0, 1, 0], [0.8, 0.4, 0.4, 0.1]) == 3.5 / 4
    assert auc([1, 0], [1, 0]) == 1 and auc([0, 1], [1, 0]) == 0


def test_all_tied_is_one_half():
    assert auc([1, 0, 0, 1, 0], [0.3] * 5) == 0.5
    assert gauc([1, 1, 2, 2], [1, 0, 0, 1], [0.1] * 4).value == 0.5


def test_scores_that_crowd_near_zero_stay_exact():
    assert auc([0, 1, 0, 1], [1e-12, 2e-12, 3e-12, 4e-12]) == 0.75


def test_gauc_by_hand():
    users = ["a", "b", "a", "b", "b", "c", "c"]
    labels = [1, 1, 0, 0, 0, 1, 1]
    scores = [0.9, 0.5, 0.1, 0.5, 0.7, 0.3, 0.4]
    # a: AUC 1, n 2. b: (0.5 + 0) / 2 = 0.25, n 3. c: one class, skipped.
    found = gauc(users, labels, scores)
    assert found.value == pytest.approx((2 * 1 + 3 * 0.25) / 5)
    assert found.users == 2 and found.usable_share == pytest.approx(5 / 7)
    assert gauc(users, labels, scores, "uniform").value == pytest.approx(1.25 / 2)


def test_equals_a_slow_loop_with_ties_in_any_order():
    rng = np.random.default_rng(0)
    users = rng.integers(0, 60, 1000) * (1 << 55) - (1 << 60)
    labels = rng.integers(0, 2, 1000) * rng.integers(0, 2, 1000)
    scores = np.round(rng.normal(size=1000), 1)
    assert auc(labels, scores) == pytest.approx(slow_auc(labels, scores), abs=1e-12)
    total = weight = used = 0
    for user in np.unique(users):
        mine = users == user
        if 0 < labels[mine].sum() < mine.sum():
            total += mine.sum() * slow_auc(labels[mine], scores[mine])
            weight, used = weight + mine.sum(), used + 1
    order = rng.permutation(1000)
    for rows in (slice(None), order):
        found = gauc(users[rows], labels[rows], scores[rows])
        assert found.value == pytest.approx(total / weight, abs=1e-12)
        assert found.users == used and found.usable_share == weight / 1000


def test_a_constant_shift_per_user_changes_auc_but_not_gauc():
    rng = np.random.default_rng(1)
    users, labels = np.repeat(np.arange(20), 10), rng.integers(0, 2, 200)
    scores = rng.normal(size=200)
    shifted = scores + 10 * users
    assert gauc(users, labels, scores) == gauc(users, labels, shifted)
    assert auc(labels, scores) != auc(labels, shifted)


def test_user_aucs_are_in_order_of_users():
    found = user_aucs([9, 3, 9, 3], [1, 1, 0, 0], [1, 0, 0, 1])
    assert found.users.tolist() == [3, 9] and found.aucs.tolist() == [0, 1]
    assert found.impressions.tolist() == [2, 2]


def test_log_loss_and_calibration_by_hand():
    expected = -(np.log(0.8) + np.log(0.9) + np.log(0.4)) / 3
    assert log_loss([1, 0, 1], [0.8, 0.1, 0.4]) == pytest.approx(expected)
    # p = 1e-15 after clipping
    assert log_loss([1], [0.0]) == pytest.approx(-np.log(1e-15))
    assert calibration([1, 0], [0.2, 0.2]) == pytest.approx(0.2 / 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auc([1, 1], [0.1, 0.2]), "2 positives in 2 rows"),
        (lambda: auc([1, 0], [0.1, np.nan]), "1 NaN or infinite of 2"),
        (lambda: auc([1, 0], [0.1]), "same length"),
        (lambda: auc([], []), "not empty"),
        (lambda: auc([[1, 0]], [[0, 1]]), "two columns"),
        (lambda: auc([1, 0.5], [0.1, 0.2]), "0 or 1"),
        (lambda: auc([1, np.nan], [0.1, 0.2]), "0 or 1"),
        (lambda: gauc([1, 2], [1, 0], [0.1, 0.2]), "none of such a user"),
        (lambda: gauc([1], [1, 0], [0.1, 0.2]), "one user per row|same length"),
        (lambda: gauc([1, 1], [1, 0], [0, 1], "clicks"), "'clicks'"),
        (lambda: log_loss([1, 0], [0.1, 1.2]), "0.1 to 1.2"),
        (lambda: calibration([0, 0], [0.1, 0.2]), "positive label"),
    ],
)
def test_errors_teach(call, message):
    with pytest.raises(TfmmError, match=message):
        call()
