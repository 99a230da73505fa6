"""A stand-in encoder of the shape SCL asks for, and pair batches for it."""

import keras
import numpy as np
import pytest
import tensorflow as tf


class DenseEncoder:
    """Flattens its input and projects it; quick and without any image library."""

    def __init__(self, modality, dimension=4, width=3, seed=1):
        self.modality, self.dimension = modality, dimension
        self.width, self.seed = width, seed
        self.tower = self.new_tower()

    def new_tower(self):
        dtype = "uint8" if self.modality == "image" else "int32"
        shape = (self.width, self.width, 3) if dtype == "uint8" else (self.width,)
        inputs = keras.Input(shape, dtype=dtype)
        x = keras.layers.Flatten()(inputs)
        x = keras.layers.Rescaling(1 / 255, offset=-0.5, dtype="float32")(x)
        initializer = keras.initializers.GlorotUniform(seed=self.seed)
        x = keras.layers.Dense(self.dimension, kernel_initializer=initializer)(x)
        return keras.Model(inputs, keras.layers.UnitNormalization()(x))


@pytest.fixture
def make_encoder():
    return DenseEncoder


@pytest.fixture
def make_batch():
    """A function: item rows and absent parts to a pair batch of random media."""

    def make(items, absent=(), negatives=None, seed=0, width=3):
        random = np.random.default_rng(seed)
        count = len(items)
        if negatives is None:
            negatives = [0] * count
        batch = {
            "item": np.array(items, "int32"),
            "negative": np.array(negatives, "int32"),
        }
        for part in ("query", "item", "negative"):
            there = batch["negative"] > 0 if part == "negative" else [True] * count
            for modality, shape in (("image", (width, width, 3)), ("text", (width,))):
                name = f"{part}_{modality}"
                dtype = "uint8" if modality == "image" else "int32"
                media = random.integers(0, 255, (count, *shape)).astype(dtype)
                batch[name] = media
                batch[f"has_{name}"] = np.array(there, bool) & (name not in absent)
        return {name: tf.constant(value) for name, value in batch.items()}

    return make
