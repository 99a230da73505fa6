"""The slowly moving copy of an item tower that fills the memory bank."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError

Momentum = float | Callable[[Any], Any]


@keras.saving.register_keras_serializable("tfmm")
class MomentumTower(keras.layers.Layer):
    """An exponential moving average of a tower: `copy = m * copy + (1 - m) * tower`.

    Keys of the bank stem from many steps; a tower that moves slowly keeps them
    comparable. The copy is never trained and always runs in inference mode.

    Args:
        copy: A tower of the same architecture and weights; see `twin`.

    Example:
        >>> tower = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> momentum = MomentumTower(keras.models.clone_model(tower))
        >>> _ = tower.layers[0].bias.assign([1.0])
        >>> momentum.update(tower, 0.75)
        >>> float(momentum.copy.layers[0].bias[0])
        0.25
    """

    def __init__(self, copy: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        copy.trainable = False
        self.copy = copy
        self.built = True

    def call(self, inputs: Any) -> Any:
        """What the copy gives for `inputs`."""
        return self.copy(inputs, training=False)

    def update(self, tower: keras.Model, momentum: Any) -> None:
        """Moves the copy towards `tower`.

        Args:
            tower: The live tower.
            momentum: m in [0, 1]; what is not trained (running statistics) is taken
                over as it is.
        """
        for mine, live in zip(self.copy.weights, tower.weights, strict=True):
            if not live.trainable:
                mine.assign(live)
            else:
                rate = ops.cast(1.0 - momentum, mine.dtype)
                mine.assign(mine + rate * (live - mine))


def twin(encoder: Any) -> keras.Model:
    """A new tower of an encoder's architecture, with its tower's present weights.

    Raises:
        TfmmError: If the encoder's `new_tower()` gives other layers.
    """
    tower = encoder.new_tower()
    ours, theirs = ([tuple(w.shape) for w in m.weights] for m in (tower, encoder.tower))
    if ours != theirs:
        raise TfmmError(
            "A copy must have its tower's architecture. Received: weights "
            f"{ours} for a tower of {theirs}. Let the encoder's `new_tower()` give the "
            "same layers each time."
        )
    tower.set_weights(encoder.tower.get_weights())
    return tower


def momentum_at(momentum: Momentum, step: Any) -> Any:
    """The momentum of a step: a number, or what a schedule says."""
    return momentum(step) if callable(momentum) else momentum


def check_momentum(momentum: Momentum) -> None:
    """Raises `TfmmError` if a fixed momentum is not in [0, 1]."""
    if not callable(momentum) and not 0.0 <= momentum <= 1.0:
        raise TfmmError(
            f"`momentum` must lie between 0 and 1. Received: momentum={momentum}. "
            "0.99 suits small data sets, 0.999 large ones."
        )
