import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.ranking import LazyAdam, SparseAdagrad

ROWS, DIM, STEPS = 20, 3, 50


def _sparse_steps(seed=0):
    """Ids that repeat within every step, and their gradient rows."""
    rng = np.random.default_rng(seed)
    for _ in range(STEPS):
        ids = rng.integers(0, ROWS, 12)
        ids[:4] = ids[0]
        yield ids, rng.normal(size=[12, DIM]).astype("float32")


def _start():
    values = np.random.default_rng(9).normal(size=[ROWS, DIM]).astype("float32")
    return values, keras.Variable(values)


def _dense(ids, rows):
    gradient = np.zeros([ROWS, DIM], "float32")
    np.add.at(gradient, ids, rows)
    return gradient


def _sparse(ids, rows):
    return tf.IndexedSlices(tf.constant(rows), tf.constant(ids), (ROWS, DIM))


def test_sparse_adagrad_equals_dense_adagrad():
    _, actual = _start()
    _, expected = _start()
    sparse, dense = SparseAdagrad(0.1), keras.optimizers.Adagrad(0.1)
    for ids, rows in _sparse_steps():
        sparse.apply([_sparse(ids, rows)], [actual])
        dense.apply([tf.constant(_dense(ids, rows))], [expected])
    np.testing.assert_allclose(actual.numpy(), expected.numpy(), atol=1e-6)


def test_lazy_adam_equals_numpy_lazy_adam():
    values, actual = _start()
    values = values.astype("float64")
    mean, square = np.zeros_like(values), np.zeros_like(values)
    optimizer = LazyAdam(0.05)
    beta_1, beta_2 = np.float32(0.9), np.float32(0.999)  # As Keras corrects the bias.
    for step, (ids, rows) in enumerate(_sparse_steps(), start=1):
        optimizer.apply([_sparse(ids, rows)], [actual])
        hit = np.unique(ids)
        gradient = _dense(ids, rows)[hit].astype("float64")
        mean[hit] = 0.9 * mean[hit] + 0.1 * gradient
        square[hit] = 0.999 * square[hit] + 0.001 * gradient**2
        rate = 0.05 * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        values[hit] -= rate * mean[hit] / (np.sqrt(square[hit]) + 1e-7)
    np.testing.assert_allclose(actual.numpy(), values, atol=1e-6)


def test_lazy_adam_equals_adam_when_every_row_is_hit():
    _, actual = _start()
    _, expected = _start()
    lazy, dense = LazyAdam(0.05), keras.optimizers.Adam(0.05)
    for ids, rows in _sparse_steps():
        ids = np.concatenate([ids, np.arange(ROWS)])
        rows = np.concatenate([rows, np.ones([ROWS, DIM], "float32")])
        lazy.apply([_sparse(ids, rows)], [actual])
        dense.apply([tf.constant(_dense(ids, rows))], [expected])
    np.testing.assert_allclose(actual.numpy(), expected.numpy(), atol=1e-6)


def test_absent_rows_do_not_move():
    values, variable = _start()
    optimizer = LazyAdam(0.1)
    for _ in range(3):
        optimizer.apply([_sparse([4, 4], np.ones([2, DIM], "float32"))], [variable])
    moved = (variable.numpy() != values).any(1)
    assert np.flatnonzero(moved).tolist() == [4]


def _norm_to_half(total):
    return total * 0.5 / np.linalg.norm(total)


@pytest.mark.parametrize(
    ("option", "clipped"),
    [
        ({"clipnorm": 0.5}, _norm_to_half),
        ({"global_clipnorm": 0.5}, _norm_to_half),
        ({"clipvalue": 0.1}, lambda total: total.clip(-0.1, 0.1)),
    ],
)
@pytest.mark.parametrize("kind", [LazyAdam, SparseAdagrad])
def test_clipping_sees_summed_rows(kind, option, clipped):
    _, actual = _start()
    _, expected = _start()
    ids, rows = next(_sparse_steps())
    kind(0.1, **option).apply([_sparse(ids, rows)], [actual])
    total = clipped(_dense(ids, rows))
    hit = np.unique(ids)
    kind(0.1).apply([_sparse(hit, total[hit])], [expected])
    np.testing.assert_allclose(actual.numpy(), expected.numpy(), atol=1e-6)


def test_the_global_norm_is_over_rows_and_dense_weights():
    optimizer = SparseAdagrad(1.0, global_clipnorm=1.0, initial_accumulator_value=0.0)
    table, dense = keras.Variable(np.zeros([3, 1])), keras.Variable(np.zeros([1]))
    rows = tf.IndexedSlices(tf.ones([4, 1]), tf.constant([2, 2, 1, 1]), (3, 1))
    optimizer.apply([rows, tf.ones([1])], [table, dense])
    # Summed rows 2 and 2, dense 1: a norm of 3, so that they become 2/3, 2/3, 1/3.
    totals = [optimizer._accumulators[place].numpy().ravel() for place in (0, 1)]
    np.testing.assert_allclose(totals[0], [0, 4 / 9, 4 / 9], atol=1e-6)
    np.testing.assert_allclose(totals[1], [1 / 9], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "stock"),
    [
        (LazyAdam, keras.optimizers.Adam),
        (SparseAdagrad, keras.optimizers.Adagrad),
    ],
)
def test_dense_weights_get_the_stock_update(kind, stock):
    _, actual = _start()
    _, expected = _start()
    gradient = tf.constant(_dense(*next(_sparse_steps())))
    kind(0.1).apply([gradient], [actual])
    stock(0.1).apply([gradient], [expected])
    np.testing.assert_array_equal(actual.numpy(), expected.numpy())


@pytest.mark.parametrize("kind", [LazyAdam, SparseAdagrad])
def test_configuration_survives(kind):
    saved = keras.saving.serialize_keras_object(kind(0.3, clipnorm=2.0))
    optimizer = keras.saving.deserialize_keras_object(saved)
    assert type(optimizer) is kind
    assert optimizer.clipnorm == 2.0
    assert float(optimizer.learning_rate) == pytest.approx(0.3)


@pytest.mark.parametrize(
    "option",
    [
        {"gradient_accumulation_steps": 2},
        {"use_ema": True},
        {"loss_scale_factor": 8.0},
    ],
)
@pytest.mark.parametrize("kind", [LazyAdam, SparseAdagrad])
def test_densifying_options_are_refused(kind, option):
    with pytest.raises(TfmmError, match=f"Received: {next(iter(option))}="):
        kind(0.1, **option)
