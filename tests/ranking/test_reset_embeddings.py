import keras
import numpy as np
import pytest
from small_ranker import ROWS, examples, small_ranker

from tfmm.errors import TfmmError
from tfmm.ranking import AdamAdagrad, LazyAdam, ResetEmbeddings, SparseAdagrad
from tfmm.ranking.rates import is_table

KINDS = [LazyAdam, SparseAdagrad, AdamAdagrad]


def copied(variable):
    return np.asarray(variable).copy()


def table_of(model):
    return next(v for v in model.trainable_variables if is_table(v))


def rows_of(model):
    index = model.optimizer._get_variable_index(table_of(model))
    return [copied(slot) for slot in model.optimizer.row_slots(index)]


class Seen(keras.callbacks.Callback):
    """The table, its rows and the first dense weight as epochs begin."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        dense = next(v for v in self.model.trainable_variables if not is_table(v))
        state = [copied(table_of(self.model)), *rows_of(self.model)]
        self.epochs.append((state, copied(dense)))


def fit(model, *callbacks, epochs=3):
    (history, item), labels = examples()
    inputs = [history, item]
    options = {"epochs": epochs, "shuffle": False, "verbose": 0}
    model.fit(inputs, labels, 16, callbacks=list(callbacks), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_and_their_rows_go_back_and_dense_weights_go_on(kind):
    model = small_ranker(kind(0.01))
    seen = Seen()
    fit(model, ResetEmbeddings(model), seen)
    first, dense = seen.epochs[0]
    for state, later in seen.epochs[1:]:
        for then, now in zip(first, state, strict=True):
            np.testing.assert_array_equal(now, then)
        assert not np.array_equal(later, dense)
        dense = later
    assert not np.array_equal(copied(table_of(model)), first[0])  # It was trained.


def test_one_epoch_is_untouched():
    plain, reset = small_ranker(LazyAdam(0.01)), small_ranker(LazyAdam(0.01))
    fit(plain, epochs=1)
    fit(reset, ResetEmbeddings(reset), epochs=1)
    for a, b in zip(plain.get_weights(), reset.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("saved", [True, False])
def test_a_checkpoint_counts_from_the_first_epoch_on(saved, tmp_path):
    old = small_ranker(LazyAdam(0.01))
    fit(old, epochs=1)
    expected = [copied(table_of(old)), *rows_of(old)]
    given = old
    if saved:
        given = tmp_path / "old.keras"
        old.save(given)
    model = small_ranker(LazyAdam(0.01))
    seen = Seen()
    fit(model, ResetEmbeddings(model, given), seen, epochs=2)
    for state, _ in seen.epochs:
        for value, wanted in zip(state, expected, strict=True):
            np.testing.assert_array_equal(value, wanted)


def test_a_checkpoint_without_the_optimizer_leaves_the_rows_as_they_were():
    old = small_ranker(SparseAdagrad(0.01))
    fit(old, epochs=1)
    model = small_ranker(AdamAdagrad(0.01))
    reset = ResetEmbeddings(model, old)
    fit(model, epochs=1)
    reset.on_epoch_begin(0)
    np.testing.assert_array_equal(table_of(model), table_of(old))
    np.testing.assert_array_equal(rows_of(model)[0], np.full((ROWS, 4), 0.1, "f4"))


def test_what_it_refuses():
    model = small_ranker(keras.optimizers.Adam(0.01))
    with pytest.raises(TfmmError, match=r"knows its rows\. Received: Adam"):
        ResetEmbeddings(model)
    dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    dense.compile(LazyAdam(0.1), "mse")
    with pytest.raises(TfmmError, match="no embedding tables"):
        ResetEmbeddings(dense)
    model = small_ranker(LazyAdam(0.01))
    with pytest.raises(TfmmError, match="other embedding tables than the model"):
        ResetEmbeddings(model, small_ranker(LazyAdam(0.1), rows=50))


def test_under_a_scaled_loss():
    from tfmm.ranking import RowLossScale

    model = small_ranker(RowLossScale(LazyAdam(0.01)))
    reset = ResetEmbeddings(model)
    before = copied(table_of(model))
    table_of(model).assign(before + 1)
    reset.on_epoch_begin(1)
    np.testing.assert_array_equal(table_of(model), before)
