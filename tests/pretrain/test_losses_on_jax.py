"""The losses give the same numbers and gradients on TensorFlow and JAX."""

import pytest
from backends import assert_same_on_both

_SCRIPT = """
import sys
import keras
import numpy as np
from keras import ops
from tfmm.pretrain.losses import bank_nce, info_nce, triplet
from tfmm.pretrain.memory_bank import MemoryBank
from tfmm.pretrain.momentum import MomentumTower, Ramp
from tfmm.pretrain.temperature import Temperature

random = np.random.default_rng(0)
unit = lambda *shape: keras.utils.normalize(random.normal(size=shape)).astype("f4")
query, keys, bank_keys = unit(5, 8), unit(9, 8), unit(11, 8)
bank = MemoryBank(8, 8)
bank.enqueue(bank_keys, np.arange(2, 13), np.arange(11) % 4 > 0)
traced = MemoryBank(8, 8)
if keras.backend.backend() == "jax":
    import jax
    def put(state, keys, groups, mask):
        found = keras.StatelessScope(state_mapping=list(zip(traced.variables, state)))
        with found:
            traced.enqueue(keys, groups, mask)
        return [found.get_current_value(v) for v in traced.variables]
    put = jax.jit(put)
    state = [v.value for v in traced.variables]
    for start in (0, 5):
        state = put(state, bank_keys[start:], np.arange(2 + start, 13),
                    np.arange(start, 11) % 4 > 0)
    for variable, value in zip(traced.variables, state):
        variable.assign(value)
else:
    for start in (0, 5):
        traced.enqueue(bank_keys[start:], np.arange(2 + start, 13),
                       np.arange(start, 11) % 4 > 0)
copy = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
copy.set_weights([unit(8, 2), np.ones(2, "f4")])
live = keras.models.clone_model(copy)
live.set_weights([unit(8, 2), np.zeros(2, "f4")])
momentum = MomentumTower(copy)
for step in range(3):
    momentum.update(live, Ramp(0.5, 0.9, 2)(step))
others = dict(
    positive=np.array([3, 1, 0, 7, 8]), mask=random.random((5, 9)) < 0.7,
    further=random.random((5, 9)) < 0.2, bank=ops.convert_to_tensor(bank.keys),
    bank_groups=ops.convert_to_tensor(bank.groups),
    groups=random.integers(0, 13, (5, 2)))
weights = np.linspace(0.1, 1.0, 5).astype("f4")
values = query, keys, np.float32(Temperature(0.1).value())
alone = {name: others[name] for name in ("bank", "bank_groups", "groups")}
results = [triplet(query, keys[:5], keys[4:]),
           bank_nce(query, keys[:5], 0.1, **alone), bank.keys, bank.groups, bank.steps,
           *traced.variables, *copy.weights, momentum(query)]
def value_and_slopes(loss, *values):
    if keras.backend.backend() == "jax":
        places = tuple(range(len(values)))
        value, slopes = jax.jit(jax.value_and_grad(loss, places))(*values)
        return [value, *slopes]
    import tensorflow as tf
    watched = [tf.constant(value) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        value = loss(*watched)
    return [value, *tape.gradient(value, watched)]
for chunk_size in (None, 4):
    def joint(*values):
        return ops.sum(info_nce(*values, **others, chunk_size=chunk_size) * weights)
    def parted(query, positive):
        losses = bank_nce(query, positive, 0.1, **alone, chunk_size=chunk_size)
        return ops.sum(losses * weights)
    results += value_and_slopes(joint, *values)
    results += value_and_slopes(parted, query, keys[:5])
np.savez(sys.argv[1], *[ops.convert_to_numpy(x) for x in results])
"""


@pytest.mark.slow
def test_jax_equals_tensorflow(tmp_path):
    assert_same_on_both(_SCRIPT, tmp_path, rtol=2e-6, atol=1e-5)
