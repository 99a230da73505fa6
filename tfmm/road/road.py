"""One run of a recipe: its folders and its key."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tfmm.road.recipe import Recipe


class Road:
    """Where a run of a recipe reads and writes.

    Args:
        recipe: The recipe.
        console: Where progress is shown.
        force: Whether a ranker is published that is worse than the served one.
    """

    def __init__(
        self, recipe: Recipe, console: Console | None = None, force: bool = False
    ) -> None:
        self.recipe = recipe
        self.force = force
        self.console = console or Console()
        self.out = Path(recipe.out).absolute()
        models = recipe.saved_models
        self.saved_models = (
            Path(models).absolute() if models else self.out / "saved_models"
        )

    def path(self, *names: str) -> Path:
        """A path below the out folder."""
        return self.out.joinpath(*names)

    def published(self) -> dict[str, Path]:
        """The folders of the versions that the last export published, by model."""
        note = self.path("serving", "export.json")
        found = json.loads(note.read_text()) if note.is_file() else {}
        return {
            name: self.saved_models / name / str(version)
            for name, version in found.items()
        }

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
