"""A scale and a shift that turn a ranker's logits into calibrated ones."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer


@keras.saving.register_keras_serializable(package="tfmm")
class Calibration(Layer):
    """`logit' = a * logit + b` with a > 0 per head; the identity until it is set.

    The order of candidates, and with it GAUC, never changes. The two numbers are
    non-trainable weights: they are saved, exported and served with the ranker.
    `tfmm.evaluation.calibrate` fits them.

    Args:
        heads: int. Logits per candidate.

    Input shape:
        float32 logits `[..., heads]`.

    Output shape:
        float32 `[..., heads]`.

    Example:
        >>> layer = Calibration(1)
        >>> layer.assign([0.5], [-1.0])
        >>> float(layer(keras.ops.ones((1, 1)))[0, 0])
        -0.5
    """

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.heads = heads
        self.scale = self._number("scale", "ones")
        self.shift = self._number("shift", "zeros")
        self.built = True

    def _number(self, name: str, initial: str) -> Any:
        return self.add_weight(
            shape=(self.heads,), initializer=initial, trainable=False, name=name
        )

    def assign(self, scale: Sequence[float], shift: Sequence[float]) -> None:
        """Sets the numbers of every head.

        Args:
            scale: a of every head.
            shift: b of every head.

        Raises:
            TfmmError: Numbers of other heads, not finite, or an a that is not positive.
        """
        a, b = np.asarray(scale, np.float32), np.asarray(shift, np.float32)
        fits = a.shape == b.shape == (self.heads,)
        if not fits or not np.isfinite([a, b]).all() or (a <= 0).any():
            raise TfmmError(
                f"Calibration takes a positive scale and a shift for {self.heads} "
                f"head(s). Received: scale={a.tolist()}, shift={b.tolist()}. "
                "Fit them with tfmm.evaluation.calibrate."
            )
        self.scale.assign(a)
        self.shift.assign(b)

    def call(self, logits: Any) -> Any:
        return logits * self.scale + self.shift

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}
