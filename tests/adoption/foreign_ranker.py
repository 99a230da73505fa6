"""Somebody's ranker in plain Keras 3: a row per impression, pictures as features."""

import keras
from keras import layers, ops


def pooled(rows, valid):
    weights = ops.cast(valid, "float32")[..., None]
    total = ops.sum(rows * weights, axis=1)
    return total / ops.maximum(ops.sum(weights, axis=1), 1.0)


def build(users, pictures):
    user = keras.Input((), dtype="int32", name="user")
    item = keras.Input((), dtype="int32", name="item")
    history = keras.Input((None,), dtype="int32", name="history")
    valid = ops.not_equal(history, 0)

    of_user = layers.Embedding(users, 16)
    of_item = layers.Embedding(len(pictures), 16)
    picture = layers.Embedding(*pictures.shape, weights=[pictures], trainable=False)

    shown, past = picture(item), picture(history)
    inputs = [of_user(user), of_item(item), pooled(of_item(history), valid)]
    inputs += [shown, pooled(past, valid)]

    hidden = layers.Concatenate()(inputs)
    for units in (64, 32):
        hidden = layers.Dense(units, "relu")(hidden)
    click = layers.Dense(1, "sigmoid")(hidden)
    return keras.Model({"user": user, "item": item, "history": history}, click)


def train(model, data, epochs=1):
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["AUC"])
    model.fit(data, epochs=epochs, verbose=0)
    return model
