"""Trains on as many logical devices as asked for; prints all variables' digests."""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf
from conftest import DenseEncoder, random_batch

from tfmm.encoders.fusion_encoder import FusionEncoder, fusion_tower
from tfmm.errors import TfmmError
from tfmm.pretrain.momentum import Ramp
from tfmm.pretrain.scl import SCL


def train(devices, settings):
    if devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(cpu, parts)
        names = [f"CPU:{place}" for place in range(devices)]
        strategy = tf.distribute.MirroredStrategy(
            names, cross_device_ops=tf.distribute.ReductionToOneDevice()
        )
    else:
        strategy = tf.distribute.get_strategy()
    batches = [
        random_batch(
            [5, 6, 7, 8, 9, 3, 5],
            negatives=[9, 8, 4, 3, 0, 0, 11],
            seed=seed,
            positives=[[6], [0], [0], [0], [5], [0], [0]],
        )
        for seed in range(5)
    ]
    for batch in batches:  # The replicas have shares of unequal weight.
        batch["has_query_text"] = tf.constant(
            [True, False, True, True, False] + [True] * 2
        )
    data = tf.data.Dataset.from_tensor_slices(
        {name: tf.concat([b[name] for b in batches], 0) for name in batches[0]}
    ).batch(7)
    with strategy.scope():
        scl = SCL(
            image=DenseEncoder("image"),
            text=DenseEncoder("text", seed=2),
            fusion=FusionEncoder(fusion_tower(4, 4, 4))
            if settings.pop("fused")
            else None,
            momentum=Ramp(0.5, 0.9, 4),
            **settings,
        )
        scl.compile(optimizer=keras.optimizers.Adam(0.01))
    if scl.fusion is not None:  # Its weights are drawn, and by each process anew.
        draw = np.random.default_rng(0)
        shapes = [w.shape for w in scl.fusion.tower.get_weights()]
        drawn = [draw.normal(size=shape).astype("float32") for shape in shapes]
        scl.fusion.tower.set_weights(drawn)
        scl.momentum_towers["fused"].copy.set_weights(drawn)
    history = scl.fit(data, epochs=2, verbose=0, validation_data=data).history
    copies = [weight.value for weight in scl.weights]
    apart = 0.0
    for value in copies if devices > 1 else ():
        first, *others = (
            part.numpy() for part in strategy.experimental_local_results(value)
        )
        for other in others:
            apart = max(
                apart, float(np.abs(first - other).max()) if first.size else 0.0
            )
    return {
        "history": history,
        "apart": apart,
        "refused": refusal(scl, data) if devices > 1 else "",
        "variables": [
            np.asarray(v.numpy(), "float64").ravel().tolist() for v in scl.weights
        ],
    }


def refusal(scl, data):
    """What a fit says that accumulates gradients."""
    scl.optimizer.gradient_accumulation_steps = 2
    try:
        scl.fit(data, verbose=0)
    except TfmmError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    print("RESULT" + json.dumps(train(int(sys.argv[1]), json.loads(sys.argv[2]))))
