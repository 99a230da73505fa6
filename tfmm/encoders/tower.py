"""The Keras model inside every encoder: its stages can be frozen."""

from typing import Any, Self

import keras

from tfmm.encoders.stages import Stage, stages_of
from tfmm.errors import TfmmError


@keras.saving.register_keras_serializable(package="tfmm")
class Tower(keras.Model):
    """A functional Keras model that knows its stages, and which of them are frozen.

    What is frozen is part of the configuration, so that copies and saved towers are
    frozen alike. Every variable is marked with the stage it belongs to, by which
    `AdamW` finds its rate.

    Args:
        inputs: As of `keras.Model`.
        outputs: As of `keras.Model`.
        name: Name of the tower.

    Example:
        >>> import tfmm
        >>> tower = tfmm.encoders.image("micro", dimension=8).tower
        >>> [stage.name for stage in tower.stages]
        ['block1', 'block2', 'block3', 'block4', 'projection']
        >>> tower.freeze("block2")
        >>> [stage.name for stage in tower.stages if stage.layers[0].trainable]
        ['block3', 'block4', 'projection']
    """

    def __init__(
        self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(inputs, outputs, name=name, **kwargs)
        self.frozen: str | None = None
        for stage in self.stages:
            for layer in stage.layers:
                for variable in layer.weights:
                    variable.tfmm_stage = (self.name, stage.name, stage.backbone)

    @property
    def stages(self) -> list[Stage]:
        """The parts that can be frozen, from input to output."""
        return stages_of(self)

    def freeze(self, upto: str | None) -> None:
        """Freezes all stages up to this one, itself included; thaws the rest.

        Args:
            upto: A stage's name; `None` thaws everything.

        Raises:
            TfmmError: If there is no such stage.
        """
        names = [stage.name for stage in self.stages]
        if upto is not None and upto not in names:
            raise TfmmError(
                f"There is no stage {upto!r} to freeze up to. Received: {upto!r}. "
                f"From input to output there are: {', '.join(names)}."
            )
        last = -1 if upto is None else names.index(upto)
        for place, stage in enumerate(self.stages):
            for layer in stage.layers:
                layer.trainable = place > last
        self.frozen = upto

    def get_config(self) -> dict[str, Any]:
        """The functional model's configuration, and what is frozen."""
        return {**super().get_config(), "frozen": self.frozen}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The inverse of `get_config`, with fresh weights."""
        config = dict(config)
        frozen = config.pop("frozen", None)
        tower = super().from_config(config, custom_objects)
        if frozen is not None:
            tower.freeze(frozen)
        return tower
