"""Keeps the wanted versions of all models loaded while folders come and go."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tfmm.serving.config import ModelConfig, version_folders
from tfmm.serving.metrics import Metrics
from tfmm.serving.status import StatusError

LOADING, AVAILABLE, END = "LOADING", "AVAILABLE", "END"
_LOG = logging.getLogger("tfmm.serving")


class Runnable(Protocol):
    """What the server needs of a loaded model; see `loader.LoadedModel`."""

    def dtypes(self, signature: str) -> dict[str, str]: ...

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]: ...

    def metadata(self) -> dict: ...


@dataclass(frozen=True)
class Version:
    """One version and its state.

    Args:
        number: The version.
        stamp: Size and time of its files when they were last read.
        state: `"LOADING"`, `"AVAILABLE"` or `"END"`.
        model: The loaded model, while available.
        error: Why it ended, if loading failed; one that was dropped ended without.
    """

    number: int
    stamp: tuple
    state: str
    model: Runnable | None = None
    error: StatusError | None = None


class ModelManager:
    """Loads new versions, then drops old ones; a broken version never replaces a good.

    Folders not named by a number, or without a saved_model.pb, are no versions. A
    version that failed is tried again when its files change. A request that is under
    way keeps its version in memory until it is answered.

    Args:
        find: Returns the models to serve; asked anew at every poll.
        load: Loads a version from its folder.
        metrics: Where loads and requests are counted.
    """

    def __init__(
        self,
        find: Callable[[], Mapping[str, ModelConfig]],
        load: Callable[[Path], Runnable],
        metrics: Metrics | None = None,
    ) -> None:
        self._find = find
        self._load = load
        self.metrics = metrics or Metrics()
        self.refused_labels: list[str] = []
        self._configs: Mapping[str, ModelConfig] = {}
        self._versions: dict[str, dict[int, Version]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._polling = threading.Lock()

    def poll(self) -> None:
        """Brings what is loaded in line with what lies in the folders."""
        with self._polling:
            self._configs = self._find()
            for name in set(self._versions) - set(self._configs):
                self._drop_all_but(name, [])
            for config in self._configs.values():
                self._poll_model(config)
            self._assign_labels()

    def get(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> tuple[int, Runnable]:
        """An available version of a model: the one named, or the highest.

        Raises:
            StatusError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        if label is not None:
            version = self._labels.get(name, {}).get(label)
            if version is None:
                raise StatusError(
                    "INVALID_ARGUMENT", f"Unrecognized servable version label: {label}"
                )
        asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        for found in self.seen(name):
            if found.model is not None and version in (None, found.number):
                return found.number, found.model
        raise StatusError("NOT_FOUND", f"Servable not found for request: {asked}")

    def states(self, name: str, version: int | None = None) -> list[Version]:
        """States of a model's versions, highest first.

        Raises:
            StatusError: NOT_FOUND if the model or version was never seen.
        """
        found = [v for v in self.seen(name) if version in (None, v.number)]
        if not found:
            raise StatusError(
                "NOT_FOUND",
                f"Could not find any versions of model {name}"
                if version is None
                else f"Could not find version {version} of model {name}",
            )
        return found

    def seen(self, name: str) -> list[Version]:
        """All versions of a model, highest first; none of an unknown model."""
        versions = self._versions.get(name, {})
        return [versions[number] for number in sorted(versions, reverse=True)]

    def names(self) -> list[str]:
        """The models that have a version available."""
        return sorted(name for name in self._versions.copy() if self._available(name))

    def known_name(self, name: str) -> str:
        """The name of a model ever seen, else `""`: clients must not name metrics."""
        return name if name in self._versions else ""

    def _poll_model(self, config: ModelConfig) -> None:
        if not config.base_path.is_dir():
            # As in TF Serving: a vanished folder may be a failing disk.
            return
        folders = version_folders(config.base_path)
        wanted = config.wanted(list(folders))
        for number in wanted:
            self._load_version(config.name, number, folders[number])
        self._drop_old(config.name, wanted)

    def _load_version(self, name: str, number: int, folder: Path) -> None:
        try:
            stamp = _stamp(folder)
        except OSError:
            return
        old = self._versions.get(name, {}).get(number)
        if old is not None and (old.model is not None or old.stamp == stamp):
            return
        self._set(name, Version(number, stamp, LOADING))
        start = time.monotonic()
        try:
            model = self._load(folder)
        except StatusError as error:
            _LOG.error("%s version %d failed: %s", name, number, error.message)
            self._set(name, Version(number, stamp, END, error=error))
            self.metrics.loads.add(str(folder), "fail")
        else:
            _LOG.info("%s version %d is available", name, number)
            self._set(name, Version(number, stamp, AVAILABLE, model))
            self.metrics.loads.add(str(folder), "success")
            microseconds = round(1e6 * (time.monotonic() - start))
            self.metrics.load_latency.add(str(folder), by=microseconds)

    def _drop_old(self, name: str, wanted: list[int]) -> None:
        if not wanted or self._available(name) & set(wanted):
            self._drop_all_but(name, wanted)

    def _drop_all_but(self, name: str, wanted: list[int]) -> None:
        versions = self._versions.get(name, {})
        for number in set(versions) - set(wanted):
            self._set(name, Version(number, (), END, error=versions[number].error))

    def _available(self, name: str) -> set[int]:
        versions = self._versions.get(name, {})
        return {number for number, version in versions.items() if version.model}

    def _assign_labels(self) -> None:
        """As in TF Serving, a label moves only to a version that is available."""
        assigned: dict[str, dict[str, int]] = {}
        refused = []
        for name, config in self._configs.items():
            before = self._labels.get(name, {})
            assigned[name] = {k: v for k, v in before.items() if k in config.labels}
            for label, version in config.labels.items():
                if version in self._available(name):
                    assigned[name][label] = version
                elif before.get(label) != version:
                    refused.append(
                        f"Request to assign label to version {version} of model "
                        f"{name}, which is not currently available for inference"
                    )
        for message in set(refused) - set(self.refused_labels):
            _LOG.warning("%s", message)
        self._labels, self.refused_labels = assigned, refused

    def _set(self, name: str, version: Version) -> None:
        # Readers never lock: they see the old mapping or the new one.
        versions = {**self._versions.get(name, {}), version.number: version}
        self._versions[name] = versions


def _stamp(folder: Path) -> tuple:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files)
