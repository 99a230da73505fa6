import types

import keras
import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.pretrain.momentum import MomentumTower, check_momentum, twin


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


def test_errors():
    with pytest.raises(TfmmError, match="architecture"):
        twin(types.SimpleNamespace(tower=tower(2), new_tower=lambda: tower(3)))
    with pytest.raises(TfmmError, match=r"momentum=1\.5"):
        check_momentum(1.5)
