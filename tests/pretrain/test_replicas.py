"""Two logical devices step like one; only a process of their own can have them."""

import os
import subprocess
import sys

import numpy as np
import pytest

_SCRIPT = """
import sys
import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tfmm.pretrain import replicas
from tfmm.pretrain.losses import info_nce
from tfmm.pretrain.memory_bank import MemoryBank
from tfmm.pretrain.momentum import MomentumTower


class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.tower, copy = (self.new_tower() for _ in range(2))
        copy.set_weights(self.tower.get_weights())
        self.slow, self.bank = MomentumTower(copy), MemoryBank(10, 3)
        self.built, self.supports_jit = True, False

    @staticmethod
    def new_tower():
        return keras.Sequential([
            keras.Input((4,)),
            keras.layers.Dense(3, kernel_initializer=keras.initializers.Identity()),
            keras.layers.UnitNormalization()])

    def call(self, batch):
        return self.tower(batch["query"]), self.tower(batch["item"])

    def compute_loss(
            self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        query, item = y_pred
        groups = replicas.gather(x["group"])
        keys = replicas.gather(item)
        own = replicas.first(item) + tf.range(tf.shape(item)[0])
        losses = info_nce(
            query, keys, 0.1, own, x["group"][:, None] != groups[None],
            bank=self.bank.keys, bank_groups=self.bank.groups,
            groups=x["group"][:, None])
        rows = tf.cast(tf.shape(query)[0], tf.float32)
        return tf.reduce_sum(losses) / replicas.total(rows)

    def train_step(self, batch):
        logs = super().train_step(batch)
        self.slow.update(self.tower, 0.9)
        keys = replicas.gather(self.slow(batch["item"]))
        self.bank.enqueue(
            keys, replicas.gather(batch["group"]), replicas.gather(batch["keep"] > 0))
        return logs


random = np.random.default_rng(0)
data = tf.data.Dataset.from_tensor_slices({
    "query": random.normal(size=(61, 4)).astype("float32"),
    "item": random.normal(size=(61, 4)).astype("float32"),
    "group": random.integers(2, 9, 61).astype("int32"),
    # Keras averages the first batch over the replicas: no bool.
    "keep": (random.random(61) < 0.8).astype("int32")}).batch(8)
results = []
for strategy in (tf.distribute.get_strategy(),
                 tf.distribute.MirroredStrategy(
                     ["CPU:0", "CPU:1"],
                     cross_device_ops=tf.distribute.ReductionToOneDevice())):
    with strategy.scope():
        model = Model()
        model.compile(optimizer=keras.optimizers.Adam(0.01))
    history = model.fit(data, epochs=2, verbose=0)
    copies = [strategy.experimental_local_results(v.value) for v in model.weights]
    for mine, *others in copies:
        for other in others:
            np.testing.assert_array_equal(mine, other)
    results.append([v.numpy() for v in model.weights])
    print(history.history, len(copies[0]))
np.savez(sys.argv[1], *sum(results, []))

def gather_of_uneven_rows():
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    rows = tf.fill([replica + 1, 1], tf.cast(replica + 1, tf.float32))
    with tf.GradientTape() as tape:
        tape.watch(rows)
        found = replicas.gather(rows)
        value = tf.reduce_sum(found[:, 0] * [1.0, 2.0, 3.0])
    return found, tape.gradient(value, rows), replicas.first(rows)

found, slopes, first = (
    strategy.experimental_local_results(x)
    for x in strategy.run(tf.function(gather_of_uneven_rows)))
for copy in found:
    assert copy.numpy()[:, 0].tolist() == [1.0, 2.0, 2.0], copy
# Both replicas use each row: twice its factor.
assert slopes[0].numpy()[:, 0].tolist() == [2.0], slopes
assert slopes[1].numpy()[:, 0].tolist() == [4.0, 6.0], slopes
assert [int(x) for x in first] == [0, 1], first
"""


@pytest.mark.slow
def test_two_replicas_equal_one_device(tmp_path):
    path = tmp_path / "weights.npz"
    subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(path)],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        check=True,
    )
    with np.load(path, allow_pickle=False) as arrays:
        values = list(arrays.values())
    half = len(values) // 2
    for one, two in zip(values[:half], values[half:], strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)
