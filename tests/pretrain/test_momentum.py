import types

import keras
import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.pretrain.momentum import MomentumTower, Ramp, check_momentum, twin


def tower(width=2):
    return keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(width),
            keras.layers.BatchNormalization(),
        ]
    )


def test_equals_the_moving_average():
    live = tower()
    copy = MomentumTower(keras.models.clone_model(live))
    kernel = live.layers[0].kernel
    start = kernel.numpy().copy()
    copy.copy.set_weights(live.get_weights())
    np.testing.assert_array_equal(copy.copy.layers[0].kernel.numpy(), start)
    expected = start
    for step in range(3):
        kernel.assign(start + step + 1.0)
        expected = 0.9 * expected + 0.1 * (start + step + 1.0)
        copy.update(live, 0.9)
    np.testing.assert_allclose(copy.copy.layers[0].kernel.numpy(), expected, atol=1e-5)


def test_running_statistics_are_taken_over():
    live = tower()
    copy = MomentumTower(keras.models.clone_model(live))
    live.layers[1].moving_mean.assign([3.0, 4.0])
    copy.update(live, 0.9)
    assert copy.copy.layers[1].moving_mean.numpy().tolist() == [3.0, 4.0]


def test_is_never_trained():
    copy = MomentumTower(tower())
    assert copy.trainable_weights == []


def test_half_precision_towers_move_in_float32():
    live = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, dtype="mixed_float16")]
    )
    copy = MomentumTower(keras.models.clone_model(live))
    copy.copy.set_weights([np.zeros((2, 2)), np.zeros(2)])
    live.layers[0].kernel.assign(np.full((2, 2), 1.0))
    copy.update(live, 0.9999)  # A step that float16 could not add to 1.
    np.testing.assert_allclose(copy.copy.layers[0].kernel, 1e-4, rtol=1e-3)


def test_ramp_by_hand():
    ramp = Ramp(0.9, 0.99, steps=4)
    # Half a cosine: a quarter of the way is (1 - cos(pi / 4)) / 2 = 0.1464 up.
    values = [float(ramp(step)) for step in (0, 1, 2, 4, 9)]
    np.testing.assert_allclose(values, [0.9, 0.91318, 0.945, 0.99, 0.99], atol=1e-5)
    config = keras.saving.serialize_keras_object(ramp)
    again = keras.saving.deserialize_keras_object(config)
    assert float(again(1)) == values[1]
    assert float(Ramp(0.0, 1.0, 4, shape="linear")(1)) == 0.25


def test_errors():
    with pytest.raises(TfmmError, match="steps=0"):
        Ramp(0.9, 0.99, steps=0)
    with pytest.raises(TfmmError, match=r"momentum=1\.2"):
        Ramp(0.9, 1.2, steps=5)
    with pytest.raises(TfmmError, match="architecture"):
        twin(types.SimpleNamespace(tower=tower(2), new_tower=lambda: tower(3)))
    with pytest.raises(TfmmError, match=r"momentum=1\.5"):
        check_momentum(1.5)
