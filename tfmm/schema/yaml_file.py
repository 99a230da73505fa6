"""YAML files as pydantic models, with errors that name every wrong key."""

from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml
from pydantic import BaseModel

from tfmm.errors import TfmmError

_Model = TypeVar("_Model", bound=BaseModel)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, or a `TfmmError` that says what hinders."""
    if not path.is_file():
        raise TfmmError(
            f"There is no file `{path}`. Create it, or correct the path; "
            "`tfmm init` writes a schema from your tables."
        )
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TfmmError(
            f"`{path}` is not valid YAML. Received: {error}. Correct that line."
        ) from error


def validated(model: type[_Model], content: Any, path: Path) -> _Model:
    """`content` as a `model`, or a `TfmmError` that names every wrong key."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, e['loc'])) or '(whole file)'}: {e['msg']}. "
            f"Received: {_short(e['input'])}"
            for e in error.errors()
        ]
        raise TfmmError(
            f"`{path}` does not fit:\n" + "\n".join(lines) + "\nCorrect these keys."
        ) from error


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
