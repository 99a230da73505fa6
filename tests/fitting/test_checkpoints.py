"""Interrupted fits go on where they stopped, to the same numbers."""

import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from fitted import Press, Stream, interrupt, same, stop

from tfmm.errors import TfmmError
from tfmm.fitting.checkpoint_files import Checkpoint
from tfmm.fitting.checkpoints import fit_with_checkpoints

PAIRS, BATCH = 22, 4
STEPS = 6  # 22 / 4, rounded up


@pytest.fixture
def numbers():
    random = np.random.default_rng(0)
    x = random.normal(size=(PAIRS, 3)).astype("float32")
    return Stream((x, x.sum(axis=1, keepdims=True))).at(0, 0)


def dense(rate=0.01):
    """A model with dropout, whose states must be kept too."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    return model


def fit(model, data, folder, epochs=3, **kwargs):
    return fit_with_checkpoints(
        model, model.fit, data, folder, epochs=epochs, verbose=0, **kwargs
    )


@pytest.mark.slow
@pytest.mark.parametrize("action", [interrupt, stop])
@pytest.mark.parametrize("after", [1, 8, STEPS + 5])
def test_an_interrupted_fit_ends_with_the_numbers_of_another(
    numbers, tmp_path, after, action
):
    whole = dense()
    expected = whole.fit(numbers.at(0, 0), epochs=3, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        fit(dense(), numbers, tmp_path, callbacks=[Press(after, action)])
    again = dense()
    again.set_weights([np.zeros_like(w) for w in again.get_weights()])
    same(again, fit(again, numbers, tmp_path), whole, expected)


class Anew(keras.callbacks.Callback):
    """Begins every epoch with other weights and half the rate."""

    def on_epoch_begin(self, epoch, logs=None):
        kernel = self.model.layers[0].kernel
        kernel.assign(keras.ops.full_like(kernel, 0.1 * epoch))
        rate = self.model.optimizer.learning_rate
        rate.assign(rate / 2)


def test_what_begins_an_epoch_is_not_done_again_within_it(numbers, tmp_path):
    whole = dense()
    expected = whole.fit(numbers.at(0, 0), epochs=3, verbose=0, callbacks=[Anew()])
    with pytest.raises(KeyboardInterrupt):
        fit(dense(), numbers, tmp_path, callbacks=[Anew(), Press(8, interrupt)])
    again = dense()
    history = fit(again, numbers, tmp_path, callbacks=[Anew()])
    same(again, history, whole, expected)


@pytest.mark.slow
def test_two_interruptions_and_epoch_ends(numbers, tmp_path):
    x = np.ones((5, 3), "float32")
    held_out = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(2)
    whole = dense()
    expected = whole.fit(
        numbers.at(0, 0), epochs=3, validation_data=held_out, verbose=0
    )
    # The last step of the first epoch, then the first of the third.
    for after in (STEPS, STEPS + 1):
        with pytest.raises(KeyboardInterrupt):
            fit(
                dense(),
                numbers,
                tmp_path,
                validation_data=held_out,
                callbacks=Press(after, interrupt),
            )
    again = dense()
    history = fit(again, numbers, tmp_path, validation_data=held_out)
    assert len(history.history["val_loss"]) == 3
    same(again, history, whole, expected)


def test_a_killed_fit_loses_no_more_than_since_the_last_checkpoint(numbers, tmp_path):
    def kill():
        raise RuntimeError("killed")  # Nothing is written after this.

    whole = dense()
    expected = whole.fit(numbers.at(0, 0), epochs=3, verbose=0)
    with pytest.raises(RuntimeError):
        fit(dense(), numbers, tmp_path, every=2, callbacks=[Press(11, kill)])
    # Steps 8 and 10: only the last two are kept.
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-0000000008", "step-0000000010"]
    state = Checkpoint.newest(tmp_path).state
    assert (state["epoch"], state["step"]) == (1, 4)
    again = dense()
    same(again, fit(again, numbers, tmp_path), whole, expected)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(numbers, tmp_path):
    fit(dense(), numbers, tmp_path, epochs=1)
    first = fit(dense(), numbers, tmp_path, epochs=2).history
    newest, before = sorted(tmp_path.iterdir(), reverse=True)
    assert [newest.name, before.name] == ["step-0000000012-end", "step-0000000012"]
    with open(newest / "arrays.npz", "r+b") as file:
        file.seek(100)
        file.write(b"damage")
    assert fit(dense(), numbers, tmp_path, epochs=2).history == first
    for path in tmp_path.iterdir():
        (path / "manifest.json").unlink()
    with pytest.raises(TfmmError, match=r"No checkpoint .* can be read"):
        fit(dense(), numbers, tmp_path)


@pytest.mark.slow
def test_a_finished_fit_is_recognised_and_can_be_prolonged(numbers, tmp_path):
    model = dense()
    first = fit(model, numbers, tmp_path)
    again = dense()
    never = Press(1, lambda: pytest.fail("It trained."))
    same(again, fit(again, numbers, tmp_path, callbacks=[never]), model, first)
    whole = dense()
    expected = whole.fit(numbers.at(0, 0), epochs=5, verbose=0)
    same(again, fit(again, numbers, tmp_path, epochs=5), whole, expected)


def test_early_stopping_remembers_its_best(numbers, tmp_path):
    def patient():
        return keras.callbacks.EarlyStopping(
            "loss", patience=2, min_delta=10, restore_best_weights=True
        )

    # No epoch betters the first by 10, so the third is the last.
    whole = dense()
    expected = whole.fit(numbers.at(0, 0), epochs=9, verbose=0, callbacks=[patient()])
    assert expected.epoch == [0, 1, 2]
    again = dense()
    with pytest.raises(KeyboardInterrupt):
        callbacks = [patient(), Press(2 * STEPS + 2, interrupt)]
        fit(again, numbers, tmp_path, epochs=9, callbacks=callbacks)
    again = dense()
    history = fit(again, numbers, tmp_path, epochs=9, callbacks=[patient()])
    assert history.epoch == [0, 1, 2]
    for mine, theirs in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    over = dense()
    assert fit(over, numbers, tmp_path, epochs=9).epoch == [0, 1, 2]


def test_data_without_a_place_skip_the_batches_taken(tmp_path):
    x = np.arange(PAIRS * 3, dtype="float32").reshape(PAIRS, 3) / 50
    data = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(BATCH)
    whole = dense()
    expected = whole.fit(data, epochs=2, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        fit(dense(), data, tmp_path, epochs=2, callbacks=[Press(3, interrupt)])
    again = dense()
    same(again, fit(again, data, tmp_path, epochs=2), whole, expected)


def test_weights_that_are_no_numbers_are_never_kept(numbers, tmp_path):
    model = dense()

    def spoil():
        model.layers[-1].bias.assign([np.nan])

    presses = [Press(3, spoil), Press(5, interrupt)]
    with pytest.raises(KeyboardInterrupt):
        fit(model, numbers, tmp_path, every=1, callbacks=presses)
    newest = Checkpoint.newest(tmp_path)
    assert newest.state["step"] == 2
    assert all(np.isfinite(w).all() for w in newest.arrays["weights"])


def test_checkpoints_of_another_training_are_refused(numbers, tmp_path):
    fit(dense(), numbers, tmp_path, epochs=1)
    with pytest.raises(TfmmError, match=r"optimizer was .*'learning_rate': 0.01"):
        fit(dense(rate=0.02), numbers, tmp_path)
    other = Stream((np.zeros((PAIRS, 3)), np.zeros((PAIRS, 1))), batch=8).at(0, 0)
    with pytest.raises(TfmmError, match=r"data\.batches was 6 and is 3"):
        fit(dense(), other, tmp_path)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    with pytest.raises(TfmmError, match="variables was"):
        fit(model, numbers, tmp_path)
    assert not isinstance(signal.getsignal(signal.SIGINT), type(None))


def test_data_of_unknown_length_are_refused(numbers, tmp_path):
    endless = tf.data.Dataset.from_tensors(0).repeat()
    for data in (endless, {"x": np.zeros(3)}):
        with pytest.raises(TfmmError, match="known length"):
            fit(dense(), data, tmp_path)
    with pytest.raises(TfmmError, match="checkpoint_every=0"):
        fit(dense(), numbers, tmp_path, every=0)
    with pytest.raises(TfmmError, match="steps_per_epoch=3"):
        fit(dense(), numbers, tmp_path, steps_per_epoch=3)


def test_signals_are_given_back(numbers, tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    fit(dense(), numbers, tmp_path, epochs=1)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_types_that_npz_files_lack_come_back(tmp_path):
    half = tf.constant([1.5, -2.0], tf.bfloat16).numpy()
    Checkpoint({}, {}, {"weights": [half]}).save(tmp_path, "step-0000000001")
    (back,) = Checkpoint.newest(tmp_path).arrays["weights"]
    assert back.dtype == half.dtype
    assert back.tolist() == [1.5, -2.0]


def test_a_model_checkpoint_remembers_its_best(numbers, tmp_path):
    class Worse(keras.callbacks.Callback):
        """Epoch by epoch another value of what is watched."""

        def on_epoch_end(self, epoch, logs=None):
            logs["watched"] = [1.0, 5.0, 3.0][epoch]

    def callbacks():
        best = keras.callbacks.ModelCheckpoint(
            tmp_path / "best.keras", "watched", mode="min", save_best_only=True
        )
        return [Worse(), best]

    fit(dense(), numbers, tmp_path / "steps", epochs=1, callbacks=callbacks())
    first = (tmp_path / "best.keras").read_bytes()
    ours = callbacks()
    fit(dense(), numbers, tmp_path / "steps", epochs=3, callbacks=ours)
    assert ours[1].best == 1.0
    assert (tmp_path / "best.keras").read_bytes() == first
