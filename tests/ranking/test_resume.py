"""Rankers and MAKE go on in mid-epoch, to the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from fitted import Press, interrupt, same

from tfmm.data.epochs import Epochs
from tfmm.errors import TfmmError
from tfmm.ranking import MAKE, RankingModel, ranking_optimizer
from tfmm.ranking.resumable import Resumable

STEPS, BATCH = 5, 4
HIDDEN = (4, 4, 4, 4)


@pytest.fixture
def data(make_batch):
    """Requests in an order that the epoch alone decides, with `at`."""
    return _data(make_batch, seed=3)


def _data(make_batch, seed):
    columns = {k: tf.constant(v) for k, v in make_batch(STEPS * BATCH - 1).items()}

    def rest(epoch, first):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(STEPS * BATCH - 1), tf.stack([tf.constant(seed, tf.int64), epoch])
        )
        rows = tf.data.Dataset.from_tensor_slices(order).batch(BATCH).skip(first)
        return rows.map(lambda r: {k: tf.gather(v, r) for k, v in columns.items()})

    return Epochs(rest, STEPS, advance=True, facts={"seed": seed}).at(0, 0)


def ranker(vocabularies, tables, rate=0.01):
    keras.utils.set_random_seed(1)
    model = RankingModel(
        vocabularies,
        tables,
        interests=["din", "simtier"],
        embedding_dim=4,
        hidden=(8,),
    )
    model.compile(ranking_optimizer(rate))
    return model


def fit(model, data, folder=None, **kwargs):
    kept = {} if folder is None else {"checkpoints": folder, "checkpoint_every": 2}
    return model.fit(data, epochs=2, verbose=0, **kept, **kwargs)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, STEPS, STEPS + 3])
def test_a_ranker_goes_on_in_mid_epoch(vocabularies, tables, data, tmp_path, after):
    whole = ranker(vocabularies, tables)
    expected = fit(whole, data.at(0, 0))
    with pytest.raises(KeyboardInterrupt):
        broken = ranker(vocabularies, tables)
        fit(broken, data, tmp_path, callbacks=[Press(after, interrupt)])
    again = ranker(vocabularies, tables)
    for weight in again.trainable_variables:
        weight.assign(np.zeros(weight.shape))
    same(again, fit(again, data, tmp_path), whole, expected)
    optimizers = again.optimizer.variables, whole.optimizer.variables
    for mine, theirs in zip(*optimizers, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))


@pytest.mark.slow
def test_make_goes_on_in_mid_epoch(tables, data, tmp_path):
    def make():
        keras.utils.set_random_seed(1)
        model = MAKE(tables, hidden=HIDDEN)
        model.compile(ranking_optimizer(0.01))
        return model

    whole = make()
    expected = fit(whole, data.at(0, 0))
    with pytest.raises(KeyboardInterrupt):
        fit(make(), data, tmp_path, callbacks=[Press(STEPS + 2, interrupt)])
    again = make()
    same(again, fit(again, data, tmp_path), whole, expected)


def test_frozen_vectors_are_compared_and_not_written(
    vocabularies, tables, data, tmp_path, make_table
):
    fit(ranker(vocabularies, tables), data, tmp_path)
    for path in tmp_path.glob("*/arrays.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(array.dtype != np.int8 for array in arrays.values())
    others = tables | {"text": make_table(14, 4, 9)}
    with pytest.raises(TfmmError, match="constants was"):
        fit(ranker(vocabularies, others), data, tmp_path)


@pytest.mark.slow
def test_other_trainings_are_refused(vocabularies, tables, data, tmp_path, make_batch):
    fit(ranker(vocabularies, tables), data, tmp_path)
    with pytest.raises(TfmmError, match=r"data\.seed was 3 and is 4"):
        fit(ranker(vocabularies, tables), _data(make_batch, seed=4), tmp_path)
    with pytest.raises(TfmmError, match=r"optimizer was .* Fit with the settings"):
        fit(ranker(vocabularies, tables, rate=0.1), data, tmp_path)
    other = RankingModel(vocabularies, tables, interests=["din"], embedding_dim=4)
    other.compile(ranking_optimizer(0.01))
    with pytest.raises(TfmmError, match=r"model\.interests was"):
        fit(other, data, tmp_path)


def test_arguments_by_place_count_too(tmp_path):
    class Line(Resumable):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)
            self.dense.build((None, 1))

        def call(self, inputs):
            return self.dense(inputs)

    model = Line()
    model.compile("sgd", "mse", run_eagerly=True)
    pairs = tf.data.Dataset.from_tensors(([[1.0]], [[2.0]]))
    history = model.fit(pairs, None, None, 3, 0, checkpoints=tmp_path)
    assert history.epoch == [0, 1, 2]
