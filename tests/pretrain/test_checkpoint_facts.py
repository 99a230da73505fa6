"""Which trainings are the same for a checkpoint, and which are not."""

import keras
import pytest
import tensorflow as tf

from tfmm.fitting.checkpoint_facts import made_for
from tfmm.pretrain.momentum import Ramp
from tfmm.pretrain.scl import SCL


@pytest.fixture
def facts(make_encoder, make_batch):
    """Settings of SCL, an optimizer and callbacks to what `made_for` says."""
    data = tf.data.Dataset.from_tensors(make_batch([5, 6]))

    def of(optimizer=None, callbacks=(), policy="float32", **settings):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            scl = SCL(image=make_encoder("image"), bank_size=9, **settings)
        finally:
            keras.config.set_dtype_policy(before)
        scl.compile(optimizer=optimizer or keras.optimizers.Adam(0.01))
        scl.optimizer.build(scl.trainable_variables)
        return made_for(scl, data, 1, callbacks)

    return of


def differing(one, other):
    return {name for name in one if one[name] != other.get(name)}


def test_the_same_again_is_the_same_whatever_keras_names_it(facts):
    assert facts(momentum=Ramp(0.5, 0.9, 9)) == facts(momentum=Ramp(0.5, 0.9, 9))


def test_schedules_towers_and_precisions_are_compared(facts):
    base = facts(momentum=Ramp(0.5, 0.9, 9))
    other = facts(momentum=Ramp(0.0, 0.1, 3))
    assert differing(base, other) == {"model.momentum"}
    assert "0.5" in str(base["model.momentum"])  # Short enough to be shown.
    mixed = facts(momentum=Ramp(0.5, 0.9, 9), policy="mixed_bfloat16")
    assert "model.image" in differing(base, mixed)


def test_a_rate_that_a_callback_moves_is_not_compared(facts):
    moves = [keras.callbacks.ReduceLROnPlateau()]
    adam = keras.optimizers.Adam
    assert differing(facts(adam(0.01)), facts(adam(0.02))) == {"optimizer"}
    assert facts(adam(0.01), moves) == facts(adam(0.02), moves)
    assert facts(adam(0.01), moves) != facts(adam(0.01, beta_1=0.5), moves)
