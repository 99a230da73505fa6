"""What every encoder is: preprocessing, a tower, and a folder it lives in."""

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self, cast

import keras
import keras_hub  # noqa: F401  (registers the backbones that towers are loaded with)
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest, write_manifest, writing

KIND = "encoder"
_TOWER = "tower.keras"
_CONFIG = "config.json"


class Encoder(ABC):
    """Raw media of one modality to unit vectors.

    `read` turns raw bytes into the tower's input with TensorFlow graph ops, the same
    ones in a tf.data pipeline and in a served graph; `tower` is an ordinary Keras
    model from there to unit vectors.

    Args:
        tower: From preprocessed batches to float32 `[B, d]` of length one.
    """

    modality: str

    def __init__(self, tower: keras.Model) -> None:
        self.tower = tower

    @property
    def dimension(self) -> int:
        """Length d of the vectors."""
        return self.tower.output_shape[-1]

    def new_tower(self) -> keras.Model:
        """A model of the tower's architecture with fresh weights."""
        return self.tower.__class__.from_config(self.tower.get_config())

    def preprocess(self, raw: tf.Tensor) -> tf.Tensor:
        """The tower's input for raw media, string `[B]`."""
        return self.read(raw)[0]

    @abstractmethod
    def read(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The tower's input for raw media, and which of them are usable.

        Args:
            raw: string `[B]`; empty where there is nothing.

        Returns:
            The tower's input `[B, ...]`, and bool `[B]`. Unusable media give some valid
            input, never an error.
        """

    @property
    def digest(self) -> str:
        """Names this very encoder: weights, architecture and preprocessing."""
        layers = [
            [type(layer).__name__, _without_names(layer.get_config())]
            for layer in self.tower.layers
        ]
        text = json.dumps([self._config(), layers], sort_keys=True, default=str)
        state = hashlib.sha256(text.encode())
        for weight in self.tower.get_weights():
            state.update(str((weight.dtype, weight.shape)).encode())
            state.update(weight.tobytes())
        return state.hexdigest()[:16]

    def save(self, folder: str | Path) -> None:
        """Writes tower, preprocessing and a manifest, whole or not at all."""
        with writing(folder) as tmp:
            # Uncompiled, so that no optimizer state is stored.
            self.tower.save(tmp / _TOWER, include_optimizer=False)
            config = {"modality": self.modality, **self._config()}
            (tmp / _CONFIG).write_text(json.dumps(config, indent=1) + "\n")
            self._save_assets(tmp)
            write_manifest(tmp, kind=KIND, counts={}, encoder=self.digest)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Opens what `save` wrote; called on `Encoder`, of either modality.

        Raises:
            TfmmError: If the folder is unfinished or of another modality.
        """
        folder = Path(folder)
        read_manifest(folder, kind=KIND)
        config = json.loads((folder / _CONFIG).read_text())
        modality = config.pop("modality")
        known = {found.modality: found for found in _concrete(cls)}
        if modality not in known:
            raise TfmmError(
                f"`{folder}` holds an encoder of another modality. Expected: "
                f"{' or '.join(sorted(known))}. Received: {modality}. Load it with "
                "`Encoder.load`."
            )
        tower = keras.models.load_model(folder / _TOWER, compile=False)
        return cast(Self, known[modality]._assemble(tower, config, folder))

    @abstractmethod
    def _config(self) -> dict[str, Any]:
        """Preprocessing as plain JSON types."""

    def _save_assets(self, folder: Path) -> None:  # noqa: B027  (optional hook)
        """Writes files that the preprocessing needs."""

    @classmethod
    @abstractmethod
    def _assemble(
        cls, tower: keras.Model, config: dict[str, Any], folder: Path
    ) -> Self:
        """The inverse of `_config` and `_save_assets`."""


def _concrete(cls: type[Encoder]) -> list[type[Encoder]]:
    return [cls] if hasattr(cls, "modality") else cls.__subclasses__()


def _without_names(config: Any) -> Any:
    """A layer's configuration without the names that change from process to process."""
    if isinstance(config, dict):
        return {
            key: _without_names(value)
            for key, value in config.items()
            if key not in ("name", "build_config", "trainable")
        }
    if isinstance(config, list | tuple):
        return [_without_names(value) for value in config]
    return config
