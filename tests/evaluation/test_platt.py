from types import SimpleNamespace

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.evaluation import calibrate, platt_scaling


def drawn(scale, shift, n=20_000, seed=0):
    """Logits x and labels of probability sigmoid(scale * x + shift)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.5, 1.5, n)
    return x, rng.random(n) < 1 / (1 + np.exp(-(scale * x + shift)))


def test_two_groups_by_hand():
    # Logit 1: 3 of 4 clicked; logit -1: 1 of 4. Platt's targets: 5/6 and 1/6, so the
    # mean targets are (3 * 5/6 + 1/6) / 4 = 2/3 and 1/3: a = log 2, b = 0.
    x = np.array([1, 1, 1, 1, -1, -1, -1, -1])
    a, b = platt_scaling(x, [1, 1, 1, 0, 1, 0, 0, 0])
    assert a == pytest.approx(np.log(2), abs=1e-8)
    assert b == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.4, -2), (3, 1)])
def test_recovers_what_drew_the_labels(scale, shift):
    x, labels = drawn(scale, shift)
    a, b = platt_scaling(x, labels)
    assert a == pytest.approx(scale, rel=0.06)
    assert b == pytest.approx(shift, abs=0.08)


def test_at_the_optimum_nothing_is_left_to_explain():
    x, labels = drawn(0.5, -1, n=500)
    a, b = platt_scaling(x, labels)
    ones, zeros = labels.sum(), (~labels).sum()
    target = np.where(labels, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    error = 1 / (1 + np.exp(-(a * x + b))) - target
    assert abs(error.mean()) < 1e-8
    assert abs((error * x).mean()) < 1e-8


def test_perfect_separation_has_an_answer():
    a, b = platt_scaling([-2, -1, 1, 2], [0, 0, 1, 1])
    assert 0 < a < 100 and np.isfinite(b)


def test_huge_and_shifted_logits():
    x, labels = drawn(1, 0)
    a, b = platt_scaling(1e4 * x + 5e4, labels)
    assert a == pytest.approx(1e-4, rel=0.05)
    assert b == pytest.approx(-5, abs=0.3)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([1, 2, 3], [1, 1, 1], "both classes. Received: 3 positives in 3"),
        ([1, 2, 3], [0, 0, 0], "0 positives in 3"),
        ([2, 2, 2], [0, 1, 0], "scores that differ. Received: 3 logits, all 2"),
        ([1, np.nan], [0, 1], "1 of them not finite"),
        ([1, 2], [0, 1, 0], "2 logits, 0 of them not finite, for 3 labels"),
        ([2, 1, 0], [0, 0, 1], "do not rank the labels"),
    ],
)
def test_errors_teach(logits, labels, message):
    with pytest.raises(TfmmError, match=message):
        platt_scaling(logits, labels)


class Ranker:
    """Two heads on columns of the batch; its calibration is a stub."""

    labels = ("click", "buy")

    def __init__(self):
        self.calibration = SimpleNamespace(scale=np.ones(2), shift=np.zeros(2))
        self.calibration.assign = self.assign

    def assign(self, scale, shift):
        self.calibration.scale = np.asarray(scale)
        self.calibration.shift = np.asarray(shift)

    def predict_on_batch(self, batch):
        raw = np.stack([batch["x"], -batch["x"]])
        scale, shift = self.calibration.scale, self.calibration.shift
        return dict(
            zip(
                self.labels,
                raw * scale[:, None, None] + shift[:, None, None],
                strict=True,
            )
        )


def batches(n=40, size=50, width=4):
    for seed in range(n):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(size, width))
        draw = rng.random((2, size, width))
        count = rng.integers(1, width + 1, size)
        padding = np.arange(width) >= count[:, None]
        batch = {
            "x": x,
            "item": np.ones((size, width), int),
            "n_items": count,
            "label_click": draw[0] < 1 / (1 + np.exp(-(0.5 * x - 1))),
            "label_buy": draw[1] < 1 / (1 + np.exp(-(-2 * x + 1))),
        }
        for name in ("x", "label_click", "label_buy"):
            batch[name] = np.where(padding, np.nan, batch[name])
        yield batch


def test_every_head_is_calibrated_on_its_label():
    ranker = Ranker()
    found = calibrate(ranker, batches())
    assert found["click"] == pytest.approx((0.5, -1), abs=0.15)
    assert found["buy"] == pytest.approx((2, 1), abs=0.15)
    again = calibrate(ranker, batches())
    for label, numbers in found.items():
        assert again[label] == pytest.approx(numbers, abs=1e-6)


def test_sampled_negatives():
    # 100 clicks in 1,000 impressions, a tenth of the 900 negatives kept: odds of
    # 100 / 90 become 100 / 900.
    ranker = Ranker()
    found = calibrate(ranker, None, rate=0.1)
    assert found["click"] == pytest.approx((1, np.log(0.1)))
    odds = np.exp(np.log(100 / 90) + found["click"].shift)
    assert odds == pytest.approx(100 / 900)
    both = calibrate(ranker, batches(), rate=0.5)
    plain = calibrate(ranker, batches())
    assert both["buy"].scale == pytest.approx(plain["buy"].scale)
    assert both["buy"].shift == pytest.approx(plain["buy"].shift + np.log(0.5))


def test_bad_input():
    for rate in (0, -1, 1.5, float("nan")):
        with pytest.raises(TfmmError, match="share of negatives that were kept"):
            calibrate(Ranker(), None, rate=rate)
    with pytest.raises(TfmmError, match="nothing to calibrate on"):
        calibrate(Ranker(), [])
