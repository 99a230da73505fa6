"""What tests of resumed fits share: data with a place, and interruptions."""

import os
import signal

import keras
import numpy as np
import tensorflow as tf


class Stream:
    """Batches whose order is a function of the epoch alone, with `at`."""

    def __init__(self, columns, batch=4):
        self.columns, self.batch = columns, batch

    def at(self, epoch, step):
        count = len(next(iter(tf.nest.flatten(self.columns))))
        counter = {"epoch": epoch, "skip": step}

        def batches():
            order = np.random.default_rng(counter["epoch"]).permutation(count)
            begin = counter["skip"] * self.batch
            counter["epoch"] += 1
            counter["skip"] = 0
            for i in range(begin, count, self.batch):
                rows = order[i : i + self.batch]
                yield tf.nest.map_structure(lambda c: c[rows], self.columns)  # noqa: B023

        spec = tf.nest.map_structure(
            lambda c: tf.TensorSpec([None, *c.shape[1:]], c.dtype), self.columns
        )
        dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
        length = -(-count // self.batch) - step
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
        dataset.num_pairs = count
        dataset.at = self.at
        return dataset


class Press(keras.callbacks.Callback):
    """Does something after so many steps, counted from the start of this fit."""

    def __init__(self, after, action):
        super().__init__()
        self.left, self.action = after, action

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.action()


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def stop():
    raise KeyboardInterrupt


def same(model, history, other, recorded):
    for mine, theirs in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))
    assert history.epoch == recorded.epoch
    assert history.history == recorded.history
