import numpy as np
import pytest

from tfmm.evaluation.bootstrap import interval, resampled, user_draws
from tfmm.evaluation.columns import Columns
from tfmm.evaluation.gain import gain_table
from tfmm.evaluation.metrics import auc, gauc, log_loss
from tfmm.evaluation.user_sums import placements, user_sums


def rows(n=600, users=60, seed=0):
    rng = np.random.default_rng(seed)
    score = np.round(rng.random(n), 2)
    return rng.integers(0, users, n), rng.random(n) < score, score


def test_sums_by_hand():
    # user 3: AUC of (1: .9, 0: .9) = 1/2, n 2. user 5: negatives alone, not usable.
    found = user_sums([5, 3, 3], [0, 1, 0], [0.2, 0.9, 0.9])
    assert found.counts.tolist() == [[2, 1, 1, 2], [1, 0, 1, 0]]
    # the positive: one of two negatives below, one tied: (1 + 1/2) / 2
    expected = [1.0, 0.75, 0.5, -np.log(0.9) - np.log(0.1)]
    np.testing.assert_allclose(found.sums[0], expected)
    np.testing.assert_allclose(found.sums[1], [0, 0, 1, -np.log(0.8)])
    assert found.auc == 0.75 and found.log_loss
    assert not user_sums([1, 1], [0, 1], [-3.0, 7.0]).log_loss


def test_placements_average_to_the_auc():
    _, label, score = rows()
    placed = placements(label, score)
    assert placed[label].mean() == pytest.approx(auc(label, score), abs=1e-12)
    assert placed[~label].mean() == pytest.approx(auc(label, score), abs=1e-12)


def test_a_resample_equals_the_metrics_of_the_repeated_rows():
    users, label, score = rows(6000, 600)
    sums = user_sums(users, label, score)
    weights = next(user_draws(600, 20, seed=3))
    found = sums.metrics(weights @ sums.counts, weights @ sums.sums)
    for draw, times in enumerate(weights.astype(int)):
        again = np.repeat(np.arange(6000), times[users])
        # A user drawn twice is two users, whose rows are not compared.
        copy = np.concatenate([np.arange(t) for t in times[users]])
        person = users[again] * 100 + copy
        exact = gauc(person, label[again], score[again]).value
        assert found["gauc"][draw] == pytest.approx(exact, abs=1e-12)
        loss = log_loss(label[again], np.clip(score[again], 0, 1))
        assert found["log_loss"][draw] == pytest.approx(loss, abs=1e-12)
        # to the first order: what is left is small beside the spread of the draws
        area = auc(label[again], score[again])
        assert found["auc"][draw] == pytest.approx(area, abs=5e-4)
    assert np.std(found["auc"]) > 5e-3


def test_draws_are_of_whole_users_and_seeded():
    a = np.concatenate(list(user_draws(50, 7, seed=1)))
    b = np.concatenate(list(user_draws(50, 7, seed=1)))
    assert a.shape == (7, 50) and (a.sum(1) == 50).all() and (a == b).all()
    chunks = list(user_draws(3_000_000, 2, seed=1))
    assert [chunk.shape for chunk in chunks] == [(1, 3_000_000)] * 2


def test_the_same_score_has_no_difference_in_any_resample():
    users, label, score = rows()
    sums = user_sums(users, label, score)
    a, b = resampled([sums, sums], 50, seed=0)
    assert all((a[name] == b[name]).all() for name in ("gauc", "auc", "log_loss"))
    assert interval(np.array([np.nan, np.nan])) is None


def test_intervals_cover_the_true_gain():
    """Of 95 % intervals over 100 samples, 90 or more hold the population's gain."""
    rng = np.random.default_rng(7)
    per_user, users = 12, 4000
    taste = rng.normal(size=(users, 1)) + rng.normal(size=(users, per_user))
    label = rng.random((users, per_user)) < 1 / (1 + np.exp(-taste))
    good = 1 / (1 + np.exp(-taste - rng.normal(size=taste.shape)))
    poor = 1 / (1 + np.exp(-taste - 2 * rng.normal(size=taste.shape)))
    who = np.repeat(np.arange(users), per_user).reshape(users, per_user)

    def gain(chosen):
        flat = [x[chosen].ravel() for x in (who, label, poor, good)]
        zeros = np.zeros(len(flat[0]), int)
        base = Columns(flat[0], zeros, zeros, flat[1], flat[2], zeros)
        rows = {"id_only": base, "x": base.with_probability(flat[3])}
        return gain_table(rows, draws=400)["x"].all_gain

    truth = gain(np.arange(users))
    held = {"gauc": 0, "auc": 0, "log_loss": 0}
    for _ in range(100):
        found = gain(rng.choice(users, 150, replace=False))
        for metric, (low, high) in found.intervals.items():
            held[metric] += low <= getattr(truth, metric) <= high
    assert all(90 <= count <= 99 for count in held.values()), held


def test_interval_agrees_with_the_standard_error():
    users, label, score = rows(3000, 300)
    zeros = np.zeros(3000, int)
    good = Columns(users, zeros, zeros, label, score, zeros)
    noisy = score * 0.5 + 0.5 * np.random.default_rng(1).random(3000)
    gain = gain_table({"id_only": good.with_probability(noisy), "x": good})[
        "x"
    ].all_gain
    low, high = gain.intervals["gauc"]
    assert (high - low) / 2 == pytest.approx(1.96 * gain.gauc_error, rel=0.1)
