"""Batches epoch by epoch, from any place on: all that chance decides has a seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

_PURPOSES = 16


@dataclass(frozen=True)
class Epochs:
    """A data set whose every iteration is an epoch, and which starts anywhere.

    Args:
        rest: From (epoch, first batch), int64, to what is left of that epoch.
        length: Batches of an epoch.
        advance: Whether every iteration is another epoch; else all are epoch 0.
        finish: What the data set of all goes through, such as a costly `map`.
        ahead: Batches made in advance.
        facts: What checkpoints compare, so that a fit goes on with the same batches
            only.
        attributes: Further attributes of the data sets.

    Example:
        >>> def rest(epoch, first):
        ...     return tf.data.Dataset.range(3).skip(first).map(lambda i: (epoch, i))
        >>> data = Epochs(rest, length=3, advance=True).at(4, 2)
        >>> [[(int(e), int(i)) for e, i in data] for _ in range(2)]
        [[(4, 2)], [(5, 0), (5, 1), (5, 2)]]
    """

    rest: Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset]
    length: int
    advance: bool
    finish: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda dataset: dataset
    ahead: int = 2
    facts: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def at(self, epoch: int, step: int) -> tf.data.Dataset:
        """The data set whose next iteration starts with that step of that epoch.

        It has `at` itself, and its length is known where it starts a whole epoch.
        """
        length = self.length
        epoch, step = (epoch + step // length, step % length) if length else (epoch, 0)
        dataset = _places(epoch, step, self.advance).flat_map(self.rest)
        dataset = self.finish(dataset)
        if not step:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
        dataset = dataset.prefetch(self.ahead)
        dataset.at, dataset.facts = self.at, dict(self.facts)
        for name, value in self.attributes.items():
            setattr(dataset, name, value)
        return dataset


def seed_of(seed: int, epoch: tf.Tensor, number: Any, purpose: int) -> tf.Tensor:
    """int64 `[2]`: another one for each purpose, and place in an epoch."""
    number = tf.cast(number, tf.int64)
    first = tf.constant(_PURPOSES * seed + purpose, tf.int64)
    return tf.stack([first, epoch * 2**32 + number])


def _places(epoch: int, step: int, advance: bool) -> tf.data.Dataset:
    """(epoch, first step) of each iteration of the data set, in int64."""
    counter = tf.Variable(0, dtype=tf.int64, trainable=False)

    def of_iteration(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        number = counter.assign_add(1) - 1
        now = epoch + number if advance else tf.zeros_like(number)
        return now, tf.where(number == 0, tf.constant(step, tf.int64), 0)

    return tf.data.Dataset.range(1).map(of_iteration)
