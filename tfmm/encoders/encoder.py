"""What every encoder is: preprocessing, a tower, and a folder it lives in."""

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self, cast

import keras
import keras_hub  # noqa: F401  (registers the backbones that towers are loaded with)

from tfmm.encoders.stages import stages_of
from tfmm.encoders.tower import Tower
from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest, write_manifest, writing

KIND = "encoder"
_TOWER = "tower.keras"
_CONFIG = "config.json"


class Encoder(ABC):
    """What gives the unit vectors of one modality: a tower, and a folder it lives in.

    Args:
        tower: An ordinary Keras model to float32 `[B, d]` of length one; a `Tower` if
            its stages are to be frozen.
    """

    modality: str

    def __init__(self, tower: keras.Model) -> None:
        self.tower = tower

    @property
    def dimension(self) -> int:
        """Length d of the vectors."""
        return self.tower.output_shape[-1]

    def new_tower(self) -> keras.Model:
        """A model of the tower's architecture with fresh weights, frozen alike."""
        return self.tower.__class__.from_config(self.tower.get_config())

    @property
    def stages(self) -> list[str]:
        """Names of the tower's parts, from input to output, as `freeze` takes them."""
        return [stage.name for stage in stages_of(self.tower)]

    @property
    def frozen(self) -> str | None:
        """The last frozen stage, or `None`."""
        return getattr(self.tower, "frozen", None)

    def freeze(self, upto: str) -> None:
        """Keeps the tower from its input up to this stage as it is in training.

        Running statistics of frozen batch normalisations rest too. Freeze before
        `compile`, and before the encoder goes into a model that copies it.

        Args:
            upto: One of `stages`; it is frozen itself, what comes after it learns.

        Raises:
            TfmmError: If there is no such stage.

        Example:
            >>> import tfmm
            >>> encoder = tfmm.encoders.image("micro", dimension=8)
            >>> encoder.stages
            ['block1', 'block2', 'block3', 'block4', 'projection']
            >>> encoder.freeze(upto="block3")
            >>> len(encoder.tower.trainable_variables)  # block4 and the projection
            4
        """
        self._tower_with_stages().freeze(upto)

    def freeze_backbone(self) -> None:
        """Leaves only the head to be trained.

        Raises:
            TfmmError: If there is no backbone, or no head beside it.
        """
        tower = self._tower_with_stages()
        inner = [stage.name for stage in tower.stages if stage.backbone]
        if not inner or len(inner) == len(tower.stages):
            raise TfmmError(
                "A backbone can be frozen where a head remains to be trained. "
                f"Received: stages {self.stages}, {len(inner)} of them the backbone's. "
                "Give the encoder a `dimension`, or use `freeze(upto=...)`."
            )
        tower.freeze(inner[-1])

    def unfreeze(self) -> None:
        """Lets all of the tower learn."""
        self._tower_with_stages().freeze(None)

    def _tower_with_stages(self) -> Tower:
        if not isinstance(self.tower, Tower):
            raise TfmmError(
                "Only a `tfmm.encoders.Tower` can be frozen by stages. Received: "
                f"{type(self.tower).__name__}. Build it with `image_tower` or "
                "`text_tower`, or set `trainable` of its layers."
            )
        return self.tower

    @property
    def digest(self) -> str:
        """Names this very encoder: weights, architecture, precision, preprocessing."""
        layers = [
            [type(layer).__name__, _without_names(layer.get_config())]
            for layer in self.tower.layers
        ]
        facts = [self._config(), layers, _precision(self.tower)]
        text = json.dumps(facts, sort_keys=True, default=str)
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

    def _config(self) -> dict[str, Any]:
        """Preprocessing as plain JSON types."""
        return {}

    def _save_assets(self, folder: Path) -> None:  # noqa: B027  (optional hook)
        """Writes files that the preprocessing needs."""

    @classmethod
    @abstractmethod
    def _assemble(
        cls, tower: keras.Model, config: dict[str, Any], folder: Path
    ) -> Self:
        """The inverse of `_config` and `_save_assets`."""


def _precision(tower: keras.Model) -> list[list[str]]:
    """Kinds of layers with their dtype policies; some backbones do not configure them.

    Models and inputs compute nothing, and are loaded under the policy of the day.
    """
    idle = (keras.Model, keras.layers.InputLayer)
    layers = [x for x in tower._flatten_layers() if not isinstance(x, idle)]
    found = {(type(layer).__name__, layer.dtype_policy.name) for layer in layers}
    return sorted(map(list, found))


def _concrete(cls: type[Encoder]) -> list[type[Encoder]]:
    if hasattr(cls, "modality"):
        return [cls]
    return [found for kind in cls.__subclasses__() for found in _concrete(kind)]


def _without_names(config: Any) -> Any:
    """A layer's configuration without the names that change from process to process."""
    if isinstance(config, dict):
        return {
            key: _without_names(value)
            for key, value in config.items()
            if key not in ("name", "build_config", "trainable", "frozen")
        }
    if isinstance(config, list | tuple):
        return [_without_names(value) for value in config]
    return config
