"""Trains on as many logical devices as asked for; prints all weights."""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf
from small_ranker import examples, small_ranker
from traced import traced_step

import tfmm.ranking

ROWS = 211  # A prime: no other dimension has it.


def on(devices):
    if devices == 1:
        return tf.distribute.get_strategy()
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(cpu, parts)
    return tf.distribute.MirroredStrategy(
        [f"CPU:{place}" for place in range(devices)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def train(strategy, kind, policy, options):
    keras.mixed_precision.set_dtype_policy(policy)
    with strategy.scope():
        optimizer = getattr(tfmm.ranking, kind)(**options)
        if policy == "mixed_float16":
            optimizer = tfmm.ranking.RowLossScale(optimizer)
        model = small_ranker(optimizer, rows=ROWS)
    data = tf.data.Dataset.from_tensor_slices(examples(rows=ROWS)).batch(16)
    model.fit(data, epochs=2, verbose=0)
    apart = [0.0]
    for weight in model.weights:
        parts = strategy.experimental_local_results(weight.value)
        first, *others = (part.numpy() for part in parts)
        apart += [float(np.abs(first - other).max()) for other in others]
    with strategy.scope():
        step = traced_step(model, next(iter(data)), ROWS)
    weights = [np.ravel(weight).tolist() for weight in model.get_weights()]
    return {"apart": max(apart), "weights": weights, "large": step.large}


if __name__ == "__main__":
    strategy = on(int(sys.argv[1]))
    found = [train(strategy, *case) for case in json.loads(sys.argv[2])]
    print("RESULT" + json.dumps(found))
