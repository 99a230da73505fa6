"""Checkpoints on disk: numpy arrays and JSON, whole or not there at all."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest, write_manifest, writing

KIND = "checkpoint"
_KEPT = 2
_NAME = re.compile(r"step-\d{10}(-end)?")


@dataclass(frozen=True)
class Checkpoint:
    """What an interrupted fit needs to go on.

    Args:
        made_for: Facts of the model, optimizer and data: of `checkpoint_facts`.
        state: JSON-serialisable: epoch, step, history and the like.
        arrays: By group (weights, optimizer, ...), the values in a fixed order.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp() + "/checkpoints"
        >>> weights = {"weights": [np.zeros((2, 3), np.float32)]}
        >>> checkpoint = Checkpoint({"pairs": 5}, {"epoch": 1}, weights)
        >>> checkpoint.save(folder, "step-0000000007")
        >>> Checkpoint.newest(folder).state
        {'epoch': 1}
    """

    made_for: Mapping[str, Any]
    state: Mapping[str, Any]
    arrays: Mapping[str, Sequence[np.ndarray]]

    def save(self, folder: str | Path, name: str) -> None:
        """Writes `folder/name` and removes all but the newest two."""
        folder = Path(folder)
        with writing(folder / name) as tmp:
            stored = {
                f"{group}.{place}": _plain(array)
                for group, arrays in self.arrays.items()
                for place, array in enumerate(arrays)
            }
            np.savez(tmp / "arrays.npz", **stored)  # type: ignore[arg-type]
            facts = {
                "made_for": self.made_for,
                "state": self.state,
                "dtypes": {
                    group: [str(array.dtype) for array in arrays]
                    for group, arrays in self.arrays.items()
                },
            }
            text = json.dumps(facts, indent=1)
            (tmp / "state.json").write_text(text + "\n", encoding="utf-8")
            write_manifest(tmp, kind=KIND, counts={})
        for old in _folders(folder)[_KEPT:]:
            shutil.rmtree(old)

    @classmethod
    def newest(cls, folder: str | Path) -> "Checkpoint | None":
        """The newest checkpoint that is whole, or `None` where there is none.

        Raises:
            TfmmError: If there are checkpoints and each of them is damaged.
        """
        faults = []
        for path in _folders(Path(folder)):
            try:
                read_manifest(path, kind=KIND, verify=True)
            except TfmmError as error:
                faults.append(str(error))
                continue
            return cls._read(path)
        if faults:
            raise TfmmError(
                f"No checkpoint in `{folder}` can be read. Received: {faults[0]} "
                "Remove the folder to start anew."
            )
        return None

    @classmethod
    def _read(cls, path: Path) -> "Checkpoint":
        facts = json.loads((path / "state.json").read_text(encoding="utf-8"))
        with np.load(path / "arrays.npz", allow_pickle=False) as stored:
            arrays = {
                group: [
                    stored[f"{group}.{place}"].view(_dtype(name))
                    for place, name in enumerate(names)
                ]
                for group, names in facts["dtypes"].items()
            }
        return cls(facts["made_for"], facts["state"], arrays)

    def check(self, made_for: Mapping[str, Any], folder: str | Path) -> None:
        """Refuses to go on with another model, optimizer or data set.

        Raises:
            TfmmError: Naming what differs.
        """
        ours, theirs = _plain_json(self.made_for), _plain_json(made_for)
        differing = [
            f"{name} was {ours.get(name)!r} and is {theirs.get(name)!r}"
            for name in sorted({*ours, *theirs})
            if ours.get(name) != theirs.get(name)
        ]
        if differing:
            raise TfmmError(
                f"The checkpoints in `{folder}` are of another training. Received: "
                f"{'; '.join(differing)}. Fit with the settings of before, or start "
                "anew in another folder."
            )


def _folders(folder: Path) -> list[Path]:
    """The checkpoints of a folder, newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name, reverse=True)


def _plain(array: np.ndarray) -> np.ndarray:
    """The array itself, or the bits of a type that npz files do not know."""
    array = np.asarray(array)
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


def _dtype(name: str) -> np.dtype:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _plain_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(facts))
