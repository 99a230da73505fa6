"""Encoders inside a Keras model's file: towers first, preprocessing after."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import keras

from tfmm.encoders.encoder import Encoder
from tfmm.pretrain.task import MODALITIES
from tfmm.pretrain.tower_shell import TowerShell

# The constructor's argument for each modality.
_ARGUMENTS = {name: "fusion" if name == "fused" else name for name in MODALITIES}


def tower_configs(towers: Mapping[str, keras.Model]) -> dict[str, Any]:
    """The towers by constructor argument, as plain types."""
    serialize = keras.saving.serialize_keras_object
    return {_ARGUMENTS[name]: serialize(tower) for name, tower in towers.items()}


class EncoderModel(keras.Model):
    """A model that trains encoders, which live in its `.keras` file.

    `_encoders`, by modality, is set by whoever derives from it.
    """

    _encoders: dict[str, Any]

    @property
    def image(self) -> Any:
        """The image encoder, trained in place."""
        return self._encoders.get("image")

    @property
    def text(self) -> Any:
        """The text encoder, trained in place."""
        return self._encoders.get("text")

    @property
    def vector(self) -> Any:
        """The encoder of ready-made vectors, its projection trained in place."""
        return self._encoders.get("vector")

    @property
    def fusion(self) -> Any:
        """The head that fuses image and text, trained in place."""
        return self._encoders.get("fused")

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The model that `get_config` describes; its weights and assets come after."""
        return cls(**_loaded(config, custom_objects))

    def save_assets(self, folder: str) -> None:
        """Puts the encoders, preprocessing included, into the `.keras` file."""
        for name, encoder in self._encoders.items():
            encoder.save(Path(folder) / name)

    def load_assets(self, folder: str) -> None:
        """Takes the encoders from the `.keras` file; their weights are the model's."""
        for name, shell in self._encoders.items():
            encoder = Encoder.load(Path(folder) / name)
            encoder.tower = shell.tower
            self._encoders[name] = encoder

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> Any:
        # Keras would average the replicas' batches, flags and all, to build layers that
        # were built long ago; without a batch it builds the optimizer alone.
        super()._maybe_symbolic_build()


def _loaded(config: Mapping[str, Any], custom_objects: Any = None) -> dict[str, Any]:
    """A configuration whose towers and schedule are objects again."""
    arguments = dict(config)
    load = keras.saving.deserialize_keras_object
    for name in {*_ARGUMENTS.values(), "momentum"} & set(arguments):
        arguments[name] = load(arguments[name], custom_objects)
    for modality, name in _ARGUMENTS.items():
        if name in arguments:
            arguments[name] = TowerShell(modality, arguments[name])
    return arguments
