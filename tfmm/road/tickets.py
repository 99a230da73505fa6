"""Which stages are done: a ticket for each, beside the outputs."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tfmm
from tfmm.errors import TfmmError
from tfmm.records.manifest import NAME, file_digest, read_manifest
from tfmm.road.road import Road
from tfmm.road.stage import Stage


class Tickets:
    """Remembers what every stage was made from, and with what result.

    A stage is done when its outputs stand complete and were made by the same version,
    with the same settings, from what its needs now hold. So a changed setting, or a
    stage that was run again with another result, makes again what it touches, and
    nothing else.

    Args:
        road: The run.
        stages: All stages by name.
    """

    def __init__(self, road: Road, stages: Mapping[str, Stage]) -> None:
        self._road, self._stages = road, stages

    def is_done(self, stage: Stage) -> bool:
        """Whether the stage's outputs stand and fit the recipe and the inputs."""
        return all(map(self.is_done, self._needs(stage))) and self.stands(stage)

    def stands(self, stage: Stage) -> bool:
        """Whether the stage is done if those that it needs are."""
        ticket = self._read(stage)
        made_from, result = self.made_from(stage), self._result(stage)
        return ticket.get("made_from") == made_from and ticket.get("result") == result

    def finish(self, stage: Stage, seconds: float) -> None:
        """Writes the ticket of a stage that has just run."""
        path = self._path(stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        ticket = {
            "made_from": self.made_from(stage),
            "result": self._result(stage),
            "seconds": round(seconds, 1),
        }
        aside = path.with_suffix(".tmp")
        aside.write_text(json.dumps(ticket) + "\n", encoding="utf-8")
        aside.replace(path)

    def seconds(self, stage: Stage) -> float | None:
        """How long the stage took when it last ran."""
        return self._read(stage).get("seconds")

    def check_needs(self, stage: Stage) -> None:
        """Refuses to run a stage before what it needs is done."""
        for needed in self._needs(stage):
            if not self.is_done(needed):
                raise TfmmError(
                    f"The stage {stage.name!r} needs {needed.name!r}, which is not "
                    "done with this recipe. Run it first: "
                    f"tfmm run RECIPE --only {needed.name}."
                )

    def _needs(self, stage: Stage) -> list[Stage]:
        found = [self._stages[name] for name in stage.needs]
        return [needed for needed in found if needed.wanted(self._road.recipe)]

    def made_from(self, stage: Stage) -> str:
        """Digest of all that decides the stage's outputs."""
        return _digest(
            [
                stage.name,
                tfmm.__version__,
                stage.settings(self._road.recipe),
                stage.reads(self._road),
                [self._read(needed).get("result") for needed in self._needs(stage)],
            ]
        )

    def _result(self, stage: Stage) -> str | None:
        """Digest of the stage's outputs; `None` where one is missing or incomplete."""
        try:
            outputs = [
                _content(self._road.path(name))
                for name in stage.outputs_of(self._road.recipe)
            ]
            return _digest([outputs, stage.leaves(self._road)])
        except TfmmError:
            return None

    def _read(self, stage: Stage) -> dict[str, Any]:
        path = self._path(stage)
        if not path.is_file():
            return {}
        try:
            return json.loads(path.read_text())
        except ValueError:  # Damaged: the stage is not done.
            return {}

    def _path(self, stage: Stage) -> Path:
        return self._road.path(".stages", f"{stage.name}.json")


def _content(path: Path) -> str:
    """Digest of a file, or of a finished folder's manifest, which has all the rest."""
    if path.is_file():
        return file_digest(path)
    read_manifest(path)
    return file_digest(path / NAME)


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
