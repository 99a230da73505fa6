"""Rates of their own for embeddings and layers; decay of dense weights alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.layers import Embedding
from tfmm.ranking import (
    AdamAdagrad,
    LazyAdam,
    RankingModel,
    SparseAdagrad,
    ranking_optimizer,
)
from tfmm.ranking.rates import is_table

KINDS = [LazyAdam, SparseAdagrad, AdamAdagrad]


def _table_and_dense(start=1.0):
    table, dense = (
        Embedding(4, 1, "ones", name="ids"),
        keras.layers.Dense(1, name="top"),
    )
    table.build()
    dense.build([None, 1])
    dense.kernel.assign([[start]])
    return [table.table, dense.kernel]


def _step(optimizer, variables, ids=(2, 2)):
    rows = tf.IndexedSlices(tf.ones([len(ids), 1]), tf.constant(ids), (4, 1))
    optimizer.apply([rows, tf.ones([1, 1])], variables)
    return [variable.numpy().ravel() for variable in variables]


def test_tables_are_known():
    stock = keras.layers.Embedding(4, 2)
    stock.build()
    table, kernel = _table_and_dense()
    assert is_table(table)
    assert is_table(stock.weights[0])
    assert not is_table(kernel)


@pytest.mark.parametrize("kind", [LazyAdam, AdamAdagrad])
def test_tables_take_a_multiple_of_the_rate(kind):
    ids, top = _step(kind(0.01, rates={"embeddings": 10.0}), _table_and_dense())
    # The first step of Adam is the rate, whatever the gradient (here 2, and 1); that
    # of Adagrad is rate * g / sqrt(0.1 + g^2) = 0.1 * 2 / sqrt(4.1).
    step = 0.1 if kind is LazyAdam else 0.2 / np.sqrt(4.1)
    np.testing.assert_allclose(ids, [1, 1, 1 - step, 1], atol=1e-6)
    np.testing.assert_allclose(top, [0.99], atol=1e-6)


def test_a_layer_named_counts_before_the_tables():
    rates = {"embeddings": 10.0, "ids": 3.0, "top": 0.0}
    ids, top = _step(LazyAdam(0.01, rates=rates), _table_and_dense())
    np.testing.assert_allclose(ids, [1, 1, 0.97, 1], atol=1e-6)
    np.testing.assert_array_equal(top, [1])


def test_rates_follow_a_rate_set_later():
    optimizer = LazyAdam(0.01, rates={"embeddings": 10.0})
    optimizer.learning_rate = 0.02
    ids, top = _step(optimizer, _table_and_dense())
    np.testing.assert_allclose([ids[2], top[0]], [0.8, 0.98], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_decay_spares_tables(kind):
    optimizer, plain = kind(0.1, weight_decay=0.5), kind(0.1)
    ids, top = _step(optimizer, _table_and_dense())
    plain_ids, plain_top = _step(plain, _table_and_dense())
    np.testing.assert_array_equal(ids, plain_ids)
    # w - rate * decay * w of w = 1 comes before the step.
    np.testing.assert_allclose(top, plain_top - 0.05, atol=1e-6)


def test_dense_decay_is_that_of_adamw():
    ours, stock = (
        kind(0.05, weight_decay=0.2) for kind in (LazyAdam, keras.optimizers.AdamW)
    )
    actual, expected = (_table_and_dense(start=2.0)[1:] for _ in range(2))
    for step in range(20):
        gradient = [tf.constant([[np.sin(step)]], "float32")]
        ours.apply(gradient, actual)
        stock.apply(gradient, expected)
    np.testing.assert_allclose(actual[0].numpy(), expected[0].numpy(), atol=1e-6)


def test_settings_of_muse():
    optimizer = ranking_optimizer(2e-4, 2e-3, weight_decay=0.01, epsilon=1e-8)
    ids, top = _step(optimizer, _table_and_dense())
    np.testing.assert_allclose(ids, [1, 1, 0.998, 1], atol=1e-6)
    np.testing.assert_allclose(top, [1 - 2e-4 * 0.01 - 2e-4], atol=1e-6)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(optimizer)
    )
    assert again.get_config() == optimizer.get_config()


def test_adagrad_rows_beside_adam_need_one_slot():
    optimizer = ranking_optimizer(1e-3, 0.05, rows="adagrad")
    optimizer.build(_table_and_dense())
    shapes = [tuple(v.shape) for v in optimizer.variables if len(v.shape) == 2]
    assert sorted(shapes) == [(1, 1), (1, 1), (4, 1)]


@pytest.mark.parametrize("kind", [SparseAdagrad, AdamAdagrad])
def test_adagrad_rows_equal_dense_adagrad(kind):
    ours = kind(0.01, rates={"embeddings": 20.0})
    stock = keras.optimizers.Adagrad(0.2)
    variables, expected = _table_and_dense(), keras.Variable(np.ones([4, 1], "float32"))
    draw = np.random.default_rng(0)
    for _ in range(50):
        ids = draw.integers(0, 4, 6)
        actual, _ = _step(ours, variables, ids)
        counts = np.bincount(ids, minlength=4)[:, None].astype("float32")
        stock.apply([tf.constant(counts)], [expected])
    np.testing.assert_allclose(actual, expected.numpy().ravel(), atol=1e-6)


def test_a_table_with_a_dense_gradient_still_learns_by_adagrad():
    ours, stock = AdamAdagrad(0.2), keras.optimizers.Adagrad(0.2)
    variables, expected = _table_and_dense(), _table_and_dense()
    gradients = [tf.constant([[0.0], [1.0], [2.0], [0.0]]), tf.ones([1, 1])]
    ours.apply(gradients, variables)
    stock.apply(gradients, expected)
    np.testing.assert_allclose(variables[0].numpy(), expected[0].numpy(), atol=1e-6)


def test_unmarked_variables_with_sparse_gradients_get_lazy_adam():
    rows = tf.IndexedSlices(tf.ones([2, 1]), tf.constant([1, 1]), (3, 1))
    ours, lazy = (keras.Variable(np.ones([3, 1], "float32")) for _ in range(2))
    AdamAdagrad(0.1).apply([rows], [ours])
    LazyAdam(0.1).apply([rows], [lazy])
    np.testing.assert_array_equal(ours.numpy(), lazy.numpy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: LazyAdam(0.1, rates={"embeddings": -1.0}),
            "multiples of the learning",
        ),
        (lambda: LazyAdam(0.1, rates={"embeddings": "x"}), "multiples of the learning"),
        (
            lambda: LazyAdam(rates={"maek": 2.0}).build(_table_and_dense()),
            "Received: \\['maek'\\]. There are: embeddings, ids, top",
        ),
        (lambda: ranking_optimizer(0.1, rows="sgd"), "one of adam, adagrad"),
        (
            lambda: ranking_optimizer(
                keras.optimizers.schedules.CosineDecay(0.1, 9), 0.2
            ),
            'rates={"embeddings": 10.0}',
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(TfmmError, match=message):
        call()


def test_parts_of_every_ranker_go_by_the_same_names(vocabularies):
    rates = {"tower": 0.5, "cross": 0.5, "users": 2.0, "event_types": 2.0, "din": 3.0}
    for _ in range(2):
        ranker = RankingModel(vocabularies, cross_layers=1)
        optimizer = LazyAdam(rates=rates)
        optimizer.build(ranker.trainable_variables)
        places = map(id, ranker.trainable_variables)
        found = dict(zip(places, optimizer._multiples, strict=True))
        parts = (ranker.tower, 0.5), (ranker.users, 2.0), (ranker.interests[0], 3.0)
        for layer, rate in parts:
            assert {found[id(weight)] for weight in layer.weights} == {rate}
