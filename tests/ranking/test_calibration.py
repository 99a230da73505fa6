import keras
import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.evaluation import calibrate, collect, gauc
from tfmm.ranking import RankingModel
from tfmm.ranking.calibration import Calibration


@pytest.fixture
def ranker(vocabularies):
    keras.utils.set_random_seed(4)
    return RankingModel(vocabularies, hidden=(16, 8))


@pytest.mark.slow
def test_scores_change_and_their_order_does_not(ranker, make_batch, tmp_path):
    requests = [make_batch(size=64, seed=seed) for seed in range(3)]
    ranker.compile(keras.optimizers.Adam(0.05))
    for batch in requests:
        ranker.train_on_batch(batch)
    before = collect(ranker, requests)
    training = np.asarray(ranker(requests[0], training=True))
    ((a, b),) = calibrate(ranker, requests).values()
    after = collect(ranker, requests)

    def logit(columns):
        return np.log(columns.probability / (1 - columns.probability))

    np.testing.assert_allclose(logit(after), a * logit(before) + b, atol=1e-4)
    assert after.probability.mean() == pytest.approx(after.label.mean(), abs=0.01)
    values = [gauc(c.user_key, c.label, c.probability).value for c in (before, after)]
    assert values[0] == values[1]
    # `fit` goes on from the model as it was trained.
    np.testing.assert_array_equal(ranker(requests[0], training=True), training)
    ranker.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    np.testing.assert_array_equal(loaded(requests[0]), ranker(requests[0]))
    assert not [w for w in loaded.trainable_weights if "calibration" in w.path]


def test_numbers_that_would_change_an_order_are_refused():
    layer = Calibration(2)
    for scale, shift in (([1], [0]), ([1, -1], [0, 0]), ([1, 1], [0, np.inf])):
        with pytest.raises(TfmmError, match="positive scale and a shift for 2 head"):
            layer.assign(scale, shift)
