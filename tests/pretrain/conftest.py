"""A stand-in encoder of the shape SCL asks for, and pair batches for it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

# A script that a test runs in a process of its own.
collect_ignore = ["scl_replicas.py"]

DTYPES = {"image": "uint8", "text": "int32", "vector": "float32"}


class DenseEncoder:
    """Flattens its input and projects it; quick and without any image library."""

    def __init__(self, modality, dimension=4, width=3, seed=1, dropout=0.0):
        self.modality, self.dimension = modality, dimension
        self.width, self.seed, self.dropout = width, seed, dropout
        self.tower = self.new_tower()

    def new_tower(self):
        dtype, pixels = DTYPES[self.modality], (self.width, self.width, 3)
        shape = pixels if self.modality == "image" else (self.width,)
        inputs = keras.Input(shape, dtype=dtype)
        x = keras.layers.Flatten()(inputs)
        if self.modality != "vector":
            x = keras.layers.Rescaling(1 / 255, offset=-0.5, dtype="float32")(x)
        x = keras.layers.Dropout(self.dropout, seed=self.seed)(x)
        initializer = keras.initializers.GlorotUniform(seed=self.seed)
        x = keras.layers.Dense(self.dimension, kernel_initializer=initializer)(x)
        return keras.Model(inputs, keras.layers.UnitNormalization(dtype="float32")(x))


@pytest.fixture
def make_encoder():
    return DenseEncoder


def random_batch(items, absent=(), negatives=None, seed=0, width=3, **more):
    """Item rows, absent parts and further integers to a pair batch of random media."""
    random = np.random.default_rng(seed)
    items, count = list(items), len(items)
    if negatives is None:
        negatives = [0] * count
    batch = {
        "item": np.array(items, "int32"),
        "negative": np.array(negatives, "int32"),
    }
    for part in ("query", "item", "negative"):
        there = batch["negative"] > 0 if part == "negative" else [True] * count
        for modality, dtype in DTYPES.items():
            name = f"{part}_{modality}"
            shape = (width, width, 3) if modality == "image" else (width,)
            batch[name] = random.integers(0, 255, (count, *shape)).astype(dtype)
            batch[f"has_{name}"] = np.array(there, bool) & (name not in absent)
    for name, values in more.items():
        batch[name] = np.array(values, "int32")
    return {name: tf.constant(value) for name, value in batch.items()}


@pytest.fixture
def make_batch():
    return random_batch
