"""A models.config that is read again while a server runs."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from tfmm.errors import TfmmError
from tfmm.serving.config import ModelConfig, parse_model_config

_LOG = logging.getLogger("tfmm.serving")


class ModelConfigFile:
    """The models that a models.config names now.

    A file that becomes unreadable is told once, and the last good one stays in force.

    Args:
        path: The file.
        poll_seconds: Time between two looks at it; 0 for none after the first.

    Raises:
        TfmmError: If it is no model config.
    """

    def __init__(self, path: str | Path, poll_seconds: float = 0) -> None:
        self._path = Path(path)
        self._poll_seconds = poll_seconds
        self._next = time.monotonic() + poll_seconds
        self._models = parse_model_config(self._path)
        self._problem = ""

    def __call__(self) -> Mapping[str, ModelConfig]:
        """Model name -> its configuration."""
        if self._poll_seconds and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._poll_seconds
            self._read_again()
        return self._models

    def _read_again(self) -> None:
        try:
            self._models, self._problem = parse_model_config(self._path), ""
        except (TfmmError, OSError) as error:
            if str(error) != self._problem:
                _LOG.warning("The models stay as they were: %s", error)
            self._problem = str(error)
