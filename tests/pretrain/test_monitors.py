"""The state of SCL in the logs, and Keras's own callbacks that read them."""

import csv
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.pretrain.memory_bank import MemoryBank
from tfmm.pretrain.monitors import BankMonitor, MeanAccuracy, TemperatureMonitor
from tfmm.pretrain.scl import SCL


@pytest.fixture
def data(make_batch):
    items = [5, 6, 7, 8, 9, 10]
    return tf.data.Dataset.from_tensor_slices(make_batch(items)).batch(2)


@pytest.fixture
def scl(make_encoder):
    model = SCL(image=make_encoder("image"), bank_size=8)
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    return model


def logged(monitor, **model):
    logs = {}
    monitor.set_model(SimpleNamespace(**model))
    monitor.on_epoch_end(0, logs)
    return logs


def test_bank_ages_by_hand():
    bank = MemoryBank(size=5, dimension=2)
    empty = logged(BankMonitor(), banks={"text": bank})
    assert empty == {
        "text_bank_fill": 0.0,
        "text_bank_age": 0.0,
        "text_bank_max_age": 0.0,
    }
    # Two keys, one, two: those of the newest step are 1 old.
    for count in (2, 1, 2):
        bank.enqueue(np.ones((count, 2)), np.arange(7, 7 + count))
    assert logged(BankMonitor(), banks={"text": bank}) == {
        "text_bank_fill": 1.0,
        "text_bank_age": pytest.approx((3 + 3 + 2 + 1 + 1) / 5),
        "text_bank_max_age": 3.0,
    }
    # The two oldest make room; a step without a key makes all others older.
    bank.enqueue(np.ones((2, 2)), np.array([9, 9]))
    bank.enqueue(np.ones((1, 2)), np.array([9]), np.array([False]))
    assert logged(BankMonitor(), banks={"text": bank}) == {
        "text_bank_fill": 1.0,
        "text_bank_age": pytest.approx((4 + 3 + 3 + 2 + 2) / 5),
        "text_bank_max_age": 4.0,
    }


def test_mean_accuracy_leaves_out_what_was_not_measured():
    logs = {
        "val_image_acc@1": 0.5,
        "val_text_acc@1": 0.25,
        "val_fused_acc@1": float("nan"),
        "val_image_acc@5": 1.0,
        "image_acc@5": 0.0,
    }
    MeanAccuracy().on_epoch_end(0, logs)
    assert logs["val_acc@1"] == 0.375
    assert logs["val_acc@5"] == 1.0
    MeanAccuracy().on_epoch_end(0, None)


def test_the_history_has_temperatures_and_banks(scl, data):
    monitors = [TemperatureMonitor(), BankMonitor()]
    history = scl.fit(data, epochs=2, verbose=0, callbacks=monitors).history
    assert history["image_temperature"][-1] == pytest.approx(
        float(scl.temperatures["image"].value())
    )
    # Three steps of two keys, then a full bank of the last four steps.
    assert history["image_bank_fill"] == [0.75, 1.0]
    assert history["image_bank_age"] == [2.0, 2.5]
    assert history["image_bank_max_age"] == [3.0, 4.0]


def test_keras_own_callbacks_read_the_numbers(scl, data, tmp_path):
    path = tmp_path / "log.csv"
    stop = keras.callbacks.EarlyStopping(
        "val_acc@5", mode="max", patience=1, min_delta=2.0
    )
    history = scl.fit(
        data,
        epochs=9,
        validation_data=data,
        verbose=0,
        callbacks=[
            MeanAccuracy(),
            TemperatureMonitor(),
            BankMonitor(),
            stop,
            keras.callbacks.CSVLogger(str(path)),
        ],
    )
    # No accuracy betters the first by 2: the second epoch is the last.
    assert history.epoch == [0, 1]
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for name in ("val_acc@1", "val_image_acc@5", "image_temperature", "image_bank_age"):
        assert float(rows[1][name]) == pytest.approx(history.history[name][1])


def test_tensorboard_has_the_curves(scl, data, tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = keras.callbacks.TensorBoard(str(tmp_path))
    monitors = [TemperatureMonitor(), BankMonitor(), board]
    scl.fit(data, epochs=1, verbose=0, callbacks=monitors)
    found = EventAccumulator(str(tmp_path / "train")).Reload()
    assert "epoch_image_temperature" in found.Tags()["tensors"]
