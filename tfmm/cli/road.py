"""Verbs on a recipe: run, its stages, gain, explain."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfmm.cli.app import RecipeFile, app, console
from tfmm.road.stages import STAGES

if TYPE_CHECKING:
    from tfmm.road.recipe import Recipe


@app.command()
def run(
    recipe: RecipeFile,
    only: Annotated[str | None, typer.Option(help="Run this one stage again.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Run again from this stage on.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Write here, not to the recipe's `out`.")
    ] = None,
) -> None:
    """Walks the whole road of a recipe; what is done already is left out."""
    _walk(recipe, only, start, out)


def _walk(
    recipe: Path, only: str | None, start: str | None = None, out: str | None = None
) -> None:
    from tfmm.road.road import Road
    from tfmm.road.walk import walk

    walk(Road(_recipe(recipe, out), console), STAGES, only, start)


def _recipe(path: Path, out: str | None) -> "Recipe":
    """The recipe, writing to another place where one is given."""
    from tfmm.road.recipe import Recipe

    chosen = Recipe.from_yaml(path)
    if out is not None:
        folder = chosen.folder
        chosen = chosen.model_copy(update={"out": out})
        chosen._folder = folder
    return chosen


def _add_verb(name: str, what: str) -> None:
    @app.command(name, help=f"Stage: {what}.", rich_help_panel="Stages of the road")
    def verb(recipe: RecipeFile) -> None:
        _walk(recipe, only=name)


for _stage in STAGES.values():
    _add_verb(_stage.name, _stage.what)


@app.command()
def gain(
    recipe: RecipeFile,
    variants: Annotated[
        str | None,
        typer.Option(
            help="Names with commas between: vector, simscore, simtier, make, "
            "simtier_make, muse, or the recipe's own. All when left out."
        ),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(help="base_score: train on top of the logged score."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Write here, not to the recipe's `out`.")
    ] = None,
) -> None:
    """Trains every way to use the vectors and prints the gain card.

    The gain over the ID-only ranker, with intervals over users, on new items and by how
    often items occur in training, beside what each ranker costs. What is trained
    already is left out.
    """
    from tfmm.road.gain import gain as compare
    from tfmm.road.road import Road

    names = None if variants is None else [x.strip() for x in variants.split(",")]
    compare(Road(_recipe(recipe, out), console), names, offset)


@app.command()
def explain(
    recipe: RecipeFile,
    request: Annotated[
        int, typer.Option(help="Which of the test requests kept, from 1.")
    ] = 1,
    out: Annotated[
        str | None, typer.Option(help="Read here, not from the recipe's `out`.")
    ] = None,
) -> None:
    """Prints why a test request of the last run was ranked as it was."""
    from tfmm.road.explain import explain_example
    from tfmm.road.road import Road

    console.print(explain_example(Road(_recipe(recipe, out), console), request))
