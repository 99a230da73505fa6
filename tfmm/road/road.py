"""One run of a recipe: its folders, and which stages are done."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

import tfmm
from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest
from tfmm.road.recipe import Recipe
from tfmm.road.stage import Stage


class Road:
    """A run of a recipe, resumable stage by stage.

    A stage is done when its outputs stand complete and were made with the same
    settings, from the same inputs, by the same version. What a changed setting
    touches is made again, and nothing else.

    Args:
        recipe: The recipe.
        console: Where progress is shown.
    """

    def __init__(self, recipe: Recipe, console: Console | None = None) -> None:
        self.recipe = recipe
        self.console = console or Console()
        self.out = Path(recipe.out).absolute()
        self.saved_models = Path(recipe.saved_models).absolute()

    def path(self, *names: str) -> Path:
        """A path below the out folder."""
        return self.out.joinpath(*names)

    @property
    def schema_file(self) -> Path:
        """The schema of the input tables."""
        own = self.recipe.input.schema_file
        return self.recipe.folder / own if own else self.path("input", "schema.yaml")

    @contextmanager
    def key_file(self) -> Iterator[str | None]:
        """The file of the user hash key for the jobs, or `None` for the variable.

        A literal key of the recipe is in a private file for just as long.
        """
        recipe = self.recipe
        if recipe.user_key is None:
            own = recipe.key_file
            yield str(recipe.folder / own) if own else None
            return
        path = self.path(f".key-{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(recipe.user_key)
        try:
            yield str(path)
        finally:
            path.unlink()

    def fingerprint(self, stage: Stage, stages: dict[str, Stage]) -> str:
        """Digest of all that decides the stage's outputs."""
        parts = [
            stage.name,
            tfmm.__version__,
            stage.settings(self.recipe),
            self._input_state() if not stage.needs else None,
            [self.fingerprint(stages[name], stages) for name in stage.needs],
        ]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()

    def is_done(self, stage: Stage, stages: dict[str, Stage]) -> bool:
        """Whether the stage's outputs stand and fit the recipe."""
        return self._ticket(stage).get("fingerprint") == self.fingerprint(
            stage, stages
        ) and all(_stands(self.path(name)) for name in stage.outputs)

    def finish(self, stage: Stage, stages: dict[str, Stage], began: float) -> None:
        """Remembers that the stage is done."""
        path = self._ticket_path(stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        ticket = {
            "fingerprint": self.fingerprint(stage, stages),
            "seconds": round(time.monotonic() - began, 1),
        }
        path.write_text(json.dumps(ticket) + "\n", encoding="utf-8")

    def seconds(self, stage: Stage) -> float | None:
        """How long the stage took when it last ran."""
        return self._ticket(stage).get("seconds")

    def _ticket(self, stage: Stage) -> dict[str, Any]:
        path = self._ticket_path(stage)
        return json.loads(path.read_text()) if path.is_file() else {}

    def _ticket_path(self, stage: Stage) -> Path:
        return self.path(".stages", f"{stage.name}.json")

    def _input_state(self) -> Any:
        """What tells whether the user's own tables changed."""
        if self.recipe.input.schema_file is None:
            return None
        from tfmm.road.prepare import input_files

        files = [self.schema_file, *input_files(self.schema_file)]
        states = [(str(path), path.stat()) for path in files]
        return [(path, state.st_size, state.st_mtime_ns) for path, state in states]


def run(
    road: Road,
    stages: dict[str, Stage],
    only: str | None = None,
    start: str | None = None,
) -> None:
    """Walks the stages in order, leaving out what is done.

    Args:
        road: The run.
        stages: All stages by name, in order.
        only: The one stage to run, again if it is done.
        start: The first stage to run again; later ones follow.

    Raises:
        TfmmError: For an unknown stage, or `only` before what it needs is done.
    """
    for name in (only, start):
        if name is not None and name not in stages:
            raise TfmmError(
                f"There is no stage {name!r}. Choose one of {', '.join(stages)}."
            )
    chosen = [stage for stage in stages.values() if stage.wanted(road.recipe)]
    again = False
    for number, stage in enumerate(chosen, 1):
        again = again or stage.name == start
        label = f"[bold]{number:>2}/{len(chosen)} {stage.name}[/] {stage.what}"
        if only is not None and stage.name != only:
            continue
        if only is None and not again and road.is_done(stage, stages):
            took = road.seconds(stage)
            road.console.print(f"{label} [green]done before[/] [dim]({took} s)[/]")
            continue
        _check_needs(road, stage, stages)
        began = time.monotonic()
        road.console.print(label)
        stage.run(road)
        road.finish(stage, stages, began)
        took = time.monotonic() - began
        road.console.print(f"      [green]done[/] in {took:.1f} s")


def _check_needs(road: Road, stage: Stage, stages: dict[str, Stage]) -> None:
    for name in stage.needs:
        needed = stages[name]
        if needed.wanted(road.recipe) and not road.is_done(needed, stages):
            raise TfmmError(
                f"The stage {stage.name!r} needs {name!r}, which is not done with this "
                f"recipe. Run it first: tfmm run RECIPE --only {name}."
            )


def _stands(path: Path) -> bool:
    if path.is_file():
        return True
    try:
        read_manifest(path)
    except TfmmError:
        return False
    return True
