"""Which models a server serves, and which of their versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfmm.errors import TfmmError

_MAX_VERSION = 2**63 - 1
_MAX_DIGITS = len(str(_MAX_VERSION))


@dataclass(frozen=True)
class ModelConfig:
    """One model of a server.

    Args:
        name: Its name in requests.
        base_path: The folder of its numbered versions.
        latest: How many of the highest versions to serve; 0 for all.
        specific: The versions to serve; overrules `latest` unless empty.
        labels: Label -> version.
    """

    name: str
    base_path: Path
    latest: int = 1
    specific: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)

    def wanted(self, present: Sequence[int]) -> list[int]:
        """The versions to serve of those present, highest first.

        Example:
            >>> ModelConfig("m", Path("m"), latest=2).wanted([1, 3, 20])
            [20, 3]
        """
        if self.specific:
            return sorted(set(present) & set(self.specific), reverse=True)
        return sorted(present, reverse=True)[: self.latest or None]


def find_models(base: str | Path) -> dict[str, ModelConfig]:
    """All models below a folder: `base/NAME/VERSION/saved_model.pb`.

    Args:
        base: The folder of all models, or of one model's versions.

    Raises:
        TfmmError: If the folder does not exist.
    """
    base = Path(base).absolute()
    if not base.is_dir():
        raise TfmmError(
            f"There is no folder of models. Received: `{base}`. "
            "Export a model first, or name the folder that holds MODEL/VERSION/."
        )
    if has_version(base):
        return {base.name: ModelConfig(base.name, base)}
    return {
        path.name: ModelConfig(path.name, path)
        for path in sorted(base.iterdir())
        if path.is_dir() and has_version(path)
    }


def has_version(folder: Path) -> bool:
    """Whether a model's folder holds a complete version."""
    return any(version_folders(folder))


def version_folders(folder: Path) -> dict[int, Path]:
    """Version -> folder, of the subfolders named by a number that hold a SavedModel."""
    if not folder.is_dir():
        return {}
    named = ((to_version(path.name), path) for path in folder.iterdir())
    return {
        version: path
        for version, path in named
        if version is not None and (path / "saved_model.pb").is_file()
    }


def to_version(text: str) -> int | None:
    """The version that a text of digits is; None if it is none, or beyond int64.

    Example:
        >>> [to_version(text) for text in ("00000123", "1.5", "9223372036854775808")]
        [123, None, None]
    """
    digits = text.lstrip("0") or "0"
    if not (text and text.isascii() and text.isdigit()) or len(digits) > _MAX_DIGITS:
        return None
    version = int(digits)
    return version if version <= _MAX_VERSION else None


def parse_model_config(path: str | Path) -> dict[str, ModelConfig]:
    """Reads a `models.config`, the file of tensorflow_model_server.

    Args:
        path: A text proto with a `model_config_list`.

    Returns:
        Model name -> its configuration.

    Raises:
        TfmmError: If the file is missing, is not such a proto, names a model twice, or
            has a relative base path.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    path = Path(path)
    if not path.is_file():
        raise TfmmError(
            f"There is no such model config file. Received: `{path}`. "
            "`tfmm export` writes saved_models/models.config."
        )
    try:
        proto = text_format.Parse(
            path.read_text(encoding="utf-8"),
            model_server_config_pb2.ModelServerConfig(),
        )
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise TfmmError(
            f"`{path}` is not a model config. Received: {error}. "
            "Expected: model_config_list { config { name: ... base_path: ... } }."
        ) from error
    found: dict[str, ModelConfig] = {}
    for config in proto.model_config_list.config:
        base = Path(config.base_path)
        if not config.name or config.name in found or not base.is_absolute():
            raise TfmmError(
                f"`{path}` needs unique names and absolute base paths. Received: "
                f"name={config.name!r}, base_path={config.base_path!r}."
            )
        policy = config.model_version_policy
        kind = policy.WhichOneof("policy_choice")
        found[config.name] = ModelConfig(
            config.name,
            base,
            0 if kind == "all" else policy.latest.num_versions or 1,
            tuple(policy.specific.versions),
            dict(config.version_labels),
        )
    return found
