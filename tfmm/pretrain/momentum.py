"""The slowly moving copy of an item tower that fills the memory bank."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer

Momentum = float | Callable[[Any], Any]


@keras.saving.register_keras_serializable("tfmm")
class MomentumTower(Layer):
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
        # Ready-made vectors are not to be rounded on their way to the copy.
        super().__init__(autocast=False, **kwargs)
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
        pairs = list(zip(self.copy.weights, tower.weights, strict=True))
        moved = [pair for pair in pairs if pair[1].trainable]
        taken = [pair for pair in pairs if not pair[1].trainable]
        if keras.backend.backend() == "tensorflow":
            from tfmm.pretrain import replicas

            rates = [ops.cast(1.0 - momentum, "float32")] * len(moved)
            mine, live = zip(*moved, strict=True) if moved else ((), ())
            replicas.change(_approach, mine, live, rates)
            mine, live = zip(*taken, strict=True) if taken else ((), ())
            replicas.change(lambda own, value: own.assign(value), mine, live)
            return
        for mine, live in moved:
            rate = ops.cast(1.0 - momentum, mine.dtype)
            mine.assign(mine + rate * (live - mine))
        for mine, live in taken:
            mine.assign(live)


@keras.saving.register_keras_serializable("tfmm")
class Ramp:
    """A momentum that rises from `start` to `end` over the first steps, then stays.

    `m(t) = end - (end - start) * (1 + cos(pi * t / steps)) / 2`, or a straight line.
    A young tower changes fast and its copy has to follow; a grown one moves slowly,
    and a slow copy keeps the bank's keys comparable.

    Args:
        start: m at step 0.
        end: m from step `steps` on.
        steps: How long it takes.
        shape: `"cosine"` or `"linear"`.

    Example:
        >>> ramp = Ramp(0.9, 0.99, steps=100, shape="linear")
        >>> [round(float(ramp(step)), 4) for step in (0, 50, 100, 1000)]
        [0.9, 0.945, 0.99, 0.99]
    """

    def __init__(
        self, start: float, end: float, steps: int, shape: str = "cosine"
    ) -> None:
        check_momentum(start)
        check_momentum(end)
        if steps < 1 or shape not in ("cosine", "linear"):
            raise TfmmError(
                "A ramp takes at least one step, along a line or a cosine. Received: "
                f"steps={steps}, shape={shape!r}. Use shape='cosine' or 'linear'."
            )
        self.start, self.end, self.steps, self.shape = start, end, steps, shape

    def __call__(self, step: Any) -> Any:
        """m of a step, a float32 scalar."""
        done = ops.minimum(ops.cast(step, "float32") / self.steps, 1.0)
        if self.shape == "cosine":
            done = (1.0 - ops.cos(math.pi * done)) / 2.0
        return self.start + (self.end - self.start) * done

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("start", "end", "steps", "shape")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Ramp":
        """The ramp that `get_config` describes."""
        return cls(**config)


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
    """The momentum of a step: a number, or what a schedule says, kept in [0, 1]."""
    return ops.clip(momentum(step), 0.0, 1.0) if callable(momentum) else momentum


def check_momentum(momentum: Momentum) -> None:
    """Raises `TfmmError` if a fixed momentum is not in [0, 1]."""
    if not callable(momentum) and not 0.0 <= momentum <= 1.0:
        raise TfmmError(
            f"`momentum` must lie between 0 and 1. Received: momentum={momentum}. "
            "0.99 suits small data sets, 0.999 large ones."
        )


def _approach(mine: Any, live: Any, rate: Any) -> None:
    import tensorflow as tf

    # One temporary of the variable's size, and the sum in place.
    step = tf.cast(rate, mine.dtype) * (tf.cast(live, mine.dtype) - mine)
    mine.assign_add(step)
