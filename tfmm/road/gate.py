"""Whether a new version may take the place of the one that is served."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from rich.markup import escape
from rich.table import Table

from tfmm.errors import TfmmError
from tfmm.evaluation import calibration, collect, gauc
from tfmm.export.border import to_request
from tfmm.export.graph import read_graph, signatures
from tfmm.export.publish import version_folder, versions
from tfmm.records.index import ItemIndex
from tfmm.road.recipe import Publish
from tfmm.road.requests import requests_of_the_test
from tfmm.road.road import Road
from tfmm.serving.loader import LoadedModel

MODEL, SIGNATURE = "ranker", "rank"
# Served scores are float32: beyond these they are 0 or 1.
_LEAST = 1e-7


class Quality(NamedTuple):
    """What a version is worth on the test requests.

    Args:
        gauc: GAUC of the ranker's first label.
        calibration: Mean predicted over mean observed rate.
    """

    gauc: float
    calibration: float

    @property
    def off(self) -> float:
        """How far the calibration is from 1."""
        return abs(self.calibration - 1)


class Gate:
    """Compares a draft with the served version on the same raw requests.

    Both SavedModels answer the recipe's test requests as a server would. The first
    version of a model has nothing to be compared with and passes.

    Args:
        road: The run.
        ranker: The ranker that is exported.
        index: Its item index.
        vocabularies: Its vocabularies.

    Attributes:
        outcome: What was found, as plain JSON.
    """

    def __init__(
        self, road: Road, ranker: Any, index: ItemIndex, vocabularies: Any
    ) -> None:
        self._road, self._ranker = road, ranker
        self._index, self._vocabularies = index, vocabularies
        self.outcome: dict[str, Any] = {}

    def __call__(self, draft: Path) -> None:
        """Refuses a draft that is worse than the recipe's `publish` lets pass.

        Raises:
            TfmmError: If it is worse, or the served version takes other requests;
                neither where the road is forced.
        """
        served = served_version(self._road.saved_models / MODEL)
        self.outcome = {"compared_with": None if served is None else served.name}
        if served is None:
            self._road.console.print("      the first version: nothing to compare with")
            return
        try:
            self._compare(draft, served)
        except TfmmError as error:
            if not self._road.force:
                raise
            text = f"      [yellow]published by force.[/] {escape(str(error))}"
            self._road.console.print(text)
            self.outcome["forced"] = True

    def _compare(self, draft: Path, served: Path) -> None:
        check_inputs(draft, served)
        found = {"new": self._quality(draft), "served": self._quality(served)}
        self.outcome |= {name: quality._asdict() for name, quality in found.items()}
        self._road.console.print(_table(found, served.name))
        refuse_worse(found["new"], found["served"], self._road.recipe.publish)

    def _quality(self, folder: Path) -> Quality:
        model = LoadedModel(folder)
        spec, base = self._ranker.spec, self._ranker.needs_base_score

        def logits(batch: Mapping[str, Any]) -> np.ndarray:
            request = to_request(batch, spec, self._index, self._vocabularies, base)
            score = model.run(SIGNATURE, request)["score"].astype(np.float64)
            score = np.clip(score, _LEAST, 1 - _LEAST)
            return np.log(score / (1 - score))

        requests = requests_of_the_test(self._road, self._vocabularies)
        rows = collect(logits, requests, self._ranker.labels[0])
        grouped = gauc(rows.user_key, rows.label, rows.probability)
        return Quality(grouped.value, calibration(rows.label, rows.probability))


def served_version(model: Path) -> Path | None:
    """The folder of the version that servers serve: the newest."""
    found = versions(model)
    return version_folder(model, found[-1]) if found else None


def check_inputs(draft: Path, served: Path) -> None:
    """Refuses to compare versions that do not take the same requests.

    Raises:
        TfmmError: If one takes an input that the other lacks or has of another type,
            or the served one cannot be read.
    """
    new = _inputs(draft)
    try:
        old = _inputs(served)
    except (OSError, DecodeError, TfmmError) as error:
        raise TfmmError(
            f"The served version {served.name} cannot be read, so there is nothing to "
            f"compare with. Received: {error}. Withdraw it by `tfmm rollback`, or "
            "publish with `tfmm publish RECIPE --force`."
        ) from error
    if new != old:
        raise TfmmError(
            f"The served version {served.name} takes other requests, so the two cannot "
            f"be compared. Received: only new {_shown(new - old)}, only served "
            f"{_shown(old - new)}. Publish it with `tfmm publish RECIPE --force`."
        )


def _inputs(folder: Path) -> set[tuple[str, int]]:
    """Name and dtype of what `rank` takes."""
    found = signatures(read_graph(folder))
    if SIGNATURE not in found:
        raise TfmmError(
            f"`{folder}` has no signature `{SIGNATURE}`. Received: {sorted(found)}. "
            "Export it with tfmm."
        )
    return {(name, info.dtype) for name, info in found[SIGNATURE].inputs.items()}


def _shown(inputs: set[tuple[str, int]]) -> list[str]:
    return sorted(f"{name} ({tf.as_dtype(kind).name})" for name, kind in inputs)


def refuse_worse(new: Quality, served: Quality, limits: Publish) -> None:
    """Refuses a version that is worse than the limits let pass.

    Raises:
        TfmmError: With both figures.

    Example:
        >>> refuse_worse(Quality(0.62, 1.0), Quality(0.65, 1.0), Publish())
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        tfmm.errors.TfmmError: The new version is worse than the served one: GAUC ...
    """
    worse = []
    if not new.gauc >= served.gauc - limits.max_gauc_fall:
        worse.append(
            f"GAUC {new.gauc:.4f} against {served.gauc:.4f} (may fall by "
            f"{limits.max_gauc_fall})"
        )
    if not new.off <= served.off + limits.max_calibration_rise:
        worse.append(
            f"calibration {new.calibration:.3f} against {served.calibration:.3f} (may "
            f"be {limits.max_calibration_rise} further from 1)"
        )
    if worse:
        raise TfmmError(
            f"The new version is worse than the served one: {', '.join(worse)}. "
            "Nothing was published. Look for the cause, or publish it with "
            "`tfmm publish RECIPE --force`."
        )


def _table(found: Mapping[str, Quality], number: str) -> Table:
    table = Table("", "GAUC", "calibration", title="on the test requests")
    for name, quality in found.items():
        label = f"served, version {number}" if name == "served" else "new version"
        table.add_row(label, f"{quality.gauc:.4f}", f"{quality.calibration:.3f}")
    return table
