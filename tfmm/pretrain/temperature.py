"""The learnable temperature of InfoNCE."""

import math
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer


@keras.saving.register_keras_serializable("tfmm")
class Temperature(Layer):
    """A learnable tau that stays within bounds.

    The weight is `log(tau / initial)`, so that weight decay draws tau to where it
    began and not to 1; after every update it is clipped to the bounds.

    Args:
        initial: tau at the start.
        lower: The smallest tau allowed.
        upper: The largest tau allowed.

    Example:
        >>> round(float(Temperature(0.07).value()), 4)
        0.07
    """

    def __init__(
        self,
        initial: float = 0.07,
        lower: float = 0.01,
        upper: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0.0 < lower <= initial <= upper:
            raise TfmmError(
                "The temperature must start within its bounds. Received: "
                f"initial={initial}, lower={lower}, upper={upper}. "
                "Choose 0 < lower <= initial <= upper."
            )
        self.initial, self.lower, self.upper = initial, lower, upper
        self.offset = self.add_weight(
            name="log_temperature_offset",
            shape=(),
            initializer="zeros",
            dtype="float32",
            constraint=self._clip,
            autocast=False,
        )
        self.built = True

    def value(self) -> Any:
        """tau, a float32 scalar."""
        return self.initial * ops.exp(self.offset)

    def _clip(self, offset: Any) -> Any:
        return ops.clip(
            offset,
            math.log(self.lower / self.initial),
            math.log(self.upper / self.initial),
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "initial": self.initial,
            "lower": self.lower,
            "upper": self.upper,
        }
