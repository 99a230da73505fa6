import numpy as np

from tfmm.records.split import global_time, per_user_last_fraction


def test_global_time_by_hand():
    time = np.array([9, 10, 19, 20, 21])
    assert global_time(time, 10, 20).tolist() == [0, 1, 1, 2, 2]
    assert global_time(time, None, 20).tolist() == [0, 0, 0, 2, 2]


def test_last_fraction_with_validation_by_hand():
    # User 1 has 10 moments: 6 train, 2 validate, 2 test. User 2 has 3: floor(0.6 * 3)
    # = 1 trains, floor(0.8 * 3) = 2 are known, 1 tests.
    user = np.array([1] * 10 + [2] * 3)
    time = np.array([*range(10), 5, 6, 7])
    part = per_user_last_fraction(user, time, 0.2, 0.2)
    assert part.tolist() == [0] * 6 + [1] * 2 + [2] * 2 + [0, 1, 2]


def test_rows_of_one_moment_stay_together():
    part = per_user_last_fraction(np.ones(6), np.array([3, 1, 3, 2, 4, 3]), 0.5)
    assert part.tolist() == [2, 0, 2, 0, 2, 2]  # moments 1, 2 | 3, 4


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(0)
    user, time = rng.integers(0, 9, 200), rng.integers(0, 30, 200)
    part = per_user_last_fraction(user, time, 0.2, 0.1)
    order = rng.permutation(200)
    again = per_user_last_fraction(user[order], time[order], 0.2, 0.1)
    assert again.tolist() == part[order].tolist()


def test_no_rows():
    assert per_user_last_fraction(np.zeros(0), np.zeros(0), 0.2).tolist() == []
