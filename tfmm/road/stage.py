"""What a stage of the road is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfmm.road.recipe import Recipe
    from tfmm.road.road import Road


@dataclass(frozen=True)
class Stage:
    """One step of the road.

    Args:
        name: Its name, also a verb of the command line.
        what: One line for the progress display.
        run: Does the work.
        outputs: What it writes, below the out folder: folders with a manifest, or
            files; or what tells them from the recipe.
        needs: Stages whose outputs it reads.
        settings: The parts of the recipe it depends on.
        reads: What tells whether something that it reads outside the out folder
            changed.
        leaves: What tells whether something that it left outside the out folder
            changed.
        wanted: Whether the recipe has this stage at all.
    """

    name: str
    what: str
    run: Callable[["Road"], None]
    outputs: tuple[str, ...] | Callable[["Recipe"], tuple[str, ...]]
    needs: tuple[str, ...] = ()
    settings: Callable[["Recipe"], Any] = lambda recipe: None
    reads: Callable[["Road"], Any] = lambda road: None
    leaves: Callable[["Road"], Any] = lambda road: None
    wanted: Callable[["Recipe"], bool] = lambda recipe: True

    def outputs_of(self, recipe: "Recipe") -> tuple[str, ...]:
        """What it writes with this recipe."""
        return self.outputs(recipe) if callable(self.outputs) else self.outputs
