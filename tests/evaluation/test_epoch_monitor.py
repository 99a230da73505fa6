import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.evaluation import EpochMonitor, epoch_chart, epoch_table


class OneWeight(keras.Model):
    """Logit = weight * item, trained towards nothing: a callback sets the weight."""

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(name="w", shape=(), initializer="zeros")

    def call(self, batch):
        return keras.ops.cast(batch["item"], "float32") * self.weight

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **_):
        return 0.0 * keras.ops.sum(y_pred)


class Steps(keras.callbacks.Callback):
    """Gives the weight a value of its own in each epoch."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        self.model.weight.assign(self.values[epoch])


def requests():
    """User 1 clicks the later of two items, user 2 the first of three."""
    return {
        "user_key": np.array([1, 2]),
        "time": np.array([0, 0]),
        "n_history": np.array([0, 0]),
        "item": np.array([[2, 3, 0], [2, 3, 4]]),
        "n_items": np.array([2, 3]),
        "label_click": np.array([[0, 1, 9], [1, 0, 0]], np.float32),
    }


def fitted(values, monitor, *others):
    model = OneWeight()
    model.compile("sgd", jit_compile=False)
    data = tf.data.Dataset.from_tensors(requests())
    callbacks = [Steps(values), monitor, *others]
    history = model.fit(data, epochs=len(values), verbose=0, callbacks=callbacks)
    return history.history


def test_gauc_of_every_epoch_is_in_the_history():
    monitor = EpochMonitor([requests()])
    history = fitted([1.0, -1.0, 0.0], monitor)
    # w = 1: user 1 (2 impressions) has AUC 1, user 2 (3 impressions) AUC 0.
    expected = [2 / 5, 3 / 5, 0.5]
    np.testing.assert_allclose(history["val_gauc"], expected)
    # The click on 3 against 2, 3 and 4, the click on 2 likewise: 1 + 1/2 + 0 and 1/2.
    np.testing.assert_allclose(history["val_auc"], [2 / 6, 4 / 6, 0.5])
    np.testing.assert_allclose(history["val_log_loss"][2], np.log(2))
    assert monitor.history == {name: history[name] for name in monitor.names}


def test_early_stopping_finds_it():
    stop = keras.callbacks.EarlyStopping("val_gauc", mode="max", patience=0)
    history = fitted(
        [-1.0, 0.0, 1.0, 1.0], EpochMonitor([requests()], metrics=["gauc"]), stop
    )
    np.testing.assert_allclose(history["val_gauc"], [0.6, 0.5])
    assert set(history) == {"loss", "val_gauc"}


def test_two_monitors_stand_beside_each_other():
    test = EpochMonitor([requests()], prefix="test", metrics=["gauc"])
    history = fitted([1.0], EpochMonitor([requests()], metrics=["auc"]), test)
    assert {"val_auc", "test_gauc"} <= set(history)


def test_an_unknown_metric():
    with pytest.raises(TfmmError, match=r"no such metrics. Received: \['recall'\]"):
        EpochMonitor([], metrics=["gauc", "recall"])


def test_curves_of_other_lengths():
    table = epoch_table({"a": [0.5, 0.25], "b": [1.0]})
    assert table.splitlines()[-1] == "| b | 1.0000 |  |"
    assert "Test GAUC by epoch" in epoch_chart({"a": [0.5, 0.25], "b": [1.0]})
