"""Trains on as many logical devices as asked for; prints all weights."""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf
from small_ranker import examples, small_ranker

import tfmm.ranking


def train(devices, kind, policy, options):
    strategy = tf.distribute.get_strategy()
    if devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(cpu, parts)
        strategy = tf.distribute.MirroredStrategy(
            [f"CPU:{place}" for place in range(devices)],
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
    keras.mixed_precision.set_dtype_policy(policy)
    with strategy.scope():
        optimizer = getattr(tfmm.ranking, kind)(**options)
        if policy == "mixed_float16":
            optimizer = tfmm.ranking.RowLossScale(optimizer)
        model = small_ranker(optimizer, rows=50)
    data = tf.data.Dataset.from_tensor_slices(examples(rows=50)).batch(16)
    model.fit(data, epochs=2, verbose=0)
    apart = 0.0
    for weight in model.weights if devices > 1 else ():
        parts = strategy.experimental_local_results(weight.value)
        first, *others = (part.numpy() for part in parts)
        apart = max(apart, *(float(np.abs(first - other).max()) for other in others))
    weights = [np.ravel(weight).tolist() for weight in model.get_weights()]
    return {"apart": apart, "weights": weights}


if __name__ == "__main__":
    print("RESULT" + json.dumps([train(int(sys.argv[1]), *json.loads(sys.argv[2]))]))
