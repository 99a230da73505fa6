"""A foreign Keras ranker of a history and a candidate that share a table."""

import keras
import numpy as np

from tfmm.layers import Embedding

ROWS = 10_007  # A prime: no other dimension has it.


def small_ranker(optimizer, table=None, rows=ROWS, **settings):
    """The compiled model; the same weights in each call with the same layer names."""
    keras.utils.set_random_seed(3)
    history = keras.Input([5], dtype="int32", name="history")
    item = keras.Input([], dtype="int32", name="item")
    table = table or Embedding(rows, 4, name="items")
    hidden = keras.layers.Concatenate()(
        [keras.ops.mean(table(history), axis=1), table(item)]
    )
    hidden = keras.layers.Dense(8, "relu", name="hidden")(hidden)
    logit = keras.layers.Dense(1, dtype="float32", name="logit")(hidden)
    model = keras.Model([history, item], logit)
    settings.setdefault("jit_compile", False)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **settings)
    return model


def examples(steps=6, size=16, rows=ROWS, seed=0):
    """Arrays (history, item), label for `fit` without shuffling; ids repeat."""
    rng = np.random.default_rng(seed)
    ids = np.minimum(rng.geometric(0.05, [steps * size, 6]), rows - 1).astype("int32")
    labels = rng.integers(0, 2, [steps * size, 1]).astype("float32")
    return (ids[:, :5], ids[:, 5]), labels


def trained(model, data, epochs=1, size=16):
    """The model's weights after some epochs."""
    inputs, labels = data
    model.fit(list(inputs), labels, size, epochs=epochs, shuffle=False, verbose=0)
    return model.get_weights()
