"""AdamW with a rate for each part of a tower."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfmm.errors import TfmmError


@keras.saving.register_keras_serializable(package="tfmm")
class AdamW(keras.optimizers.AdamW):
    """Keras' AdamW; chosen parts of the towers learn at a multiple of the rate.

    A variable with multiple r is changed as by an AdamW of learning rate r * lr, its
    weight decay included: `w <- w - r lr (wd w + m / (sqrt(v) + eps))`, m and v being
    the usual means with bias correction. Everything else has r = 1. Gradients of
    embedding tables are summed over repeated tokens, which Keras' own AdamW leaves out.

    Args:
        learning_rate: As of `keras.optimizers.AdamW`: a number or a schedule.
        rates: From a part to its multiple, 0 or more. A part is `"backbone"`, a stage
            of `encoder.stages`, or one of these after a tower's name and a slash, such
            as `"text_tower/backbone"`. The most particular name counts.
        **kwargs: As of `keras.optimizers.AdamW`.

    Raises:
        TfmmError: If a multiple is negative, or (once the variables are known) a part
            has nothing to train.

    Example:
        >>> optimizer = AdamW(1e-3, rates={"backbone": 0.1})
        >>> AdamW.from_config(optimizer.get_config()).rates
        {'backbone': 0.1}
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rates: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.rates = dict(rates or {})
        wrong = {part: rate for part, rate in self.rates.items() if not rate >= 0}
        if wrong:
            raise TfmmError(
                f"`rates` are multiples of the learning rate. Received: {wrong}. Give "
                "0 or more, such as 0.1."
            )

    def build(self, variables: list[Any]) -> None:
        """Creates the slots and finds every variable's multiple."""
        parts = [_parts(variable) for variable in variables]
        known = {name for names in parts for name in names}
        if unknown := set(self.rates) - known:
            raise TfmmError(
                f"`rates` names parts that have nothing to train. Received: "
                f"{sorted(unknown)}. There are: {', '.join(sorted(known)) or 'none'}."
            )
        self._multiples = [
            next((self.rates[name] for name in names if name in self.rates), 1.0)
            for names in parts
        ]
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's decay and step, at its own rate."""
        if isinstance(gradient, tf.IndexedSlices):
            gradient = tf.convert_to_tensor(gradient)
        rate = learning_rate * self._multiples[self._get_variable_index(variable)]
        if self.weight_decay and self._use_weight_decay(variable):
            step = keras.ops.cast(rate * self.weight_decay, variable.dtype)
            self.assign_sub(variable, keras.ops.multiply(variable, step))
        super().update_step(gradient, variable, rate)

    def _apply_weight_decay(self, variables: Any) -> None:
        """Nothing here: `update_step` decays each variable at its own rate."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rates": dict(self.rates)}


def _parts(variable: Any) -> list[str]:
    """Names of the parts that a variable belongs to, the most particular first."""
    mark = getattr(variable, "tfmm_stage", None)
    if mark is None:
        return []
    tower, stage, backbone = mark
    names = [f"{tower}/{stage}", stage]
    return [*names, f"{tower}/backbone", "backbone"] if backbone else names
