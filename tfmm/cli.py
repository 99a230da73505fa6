"""The command `tfmm`: one function per verb, thin."""

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

import tfmm
from tfmm.errors import TfmmError
from tfmm.road.stages import STAGES

if TYPE_CHECKING:
    from tfmm.road.recipe import Recipe

app = typer.Typer(
    help=(
        "Multimodal CTR models, from raw media and logs to TF Serving. "
        "[bold]tfmm run recipes/demo.yaml[/] walks the whole road."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
WIDTH_IN_FILES = 120
console = Console(width=None if sys.stdout.isatty() else WIDTH_IN_FILES)
RecipeFile = Annotated[Path, typer.Argument(help="A recipe, such as recipes/demo.yaml")]


def main() -> None:
    """Runs the command; mistakes that a user can mend end without a traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        app()
    except TfmmError as error:
        console.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        console.print("Interrupted. What was done stays; run it again to go on.")
        raise SystemExit(130) from None


@app.command()
def init(
    files: Annotated[list[Path], typer.Argument(help="Tables, or folders of them.")],
    out: Annotated[Path, typer.Option(help="The schema file to write.")] = Path(
        "schema.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,
) -> None:
    """Guesses a schema from your tables and prints a data check."""
    from tfmm.onboarding.init import init as guess

    guess(files, out, console, force)


@app.command()
def check(
    schema: Annotated[Path, typer.Argument(help="The schema file.")],
) -> None:
    """Prints a data check: counts, shares, splits, and what looks odd."""
    from tfmm.onboarding.check import check as report
    from tfmm.schema import Schema

    console.print(report(Schema.from_yaml(schema)).render())


@app.command("try")
def try_(
    vectors: Annotated[Path, typer.Option(help="Parquet, or .npy with --ids.")],
    impressions: Annotated[Path | None, typer.Option(help="The log.")] = None,
    schema: Annotated[
        Path | None, typer.Option(help="A schema, in place of guessing.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Column of the user id.")] = None,
    item: Annotated[str | None, typer.Option(help="Column of the item id.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of the moment.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    ids: Annotated[
        str | None, typer.Option(help="File of a matrix's ids, or Parquet's id column.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Keep the work here and go on from it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 7,
) -> None:
    """Prints what your vectors add: ID-only against + SimTier, from a log alone."""
    from tfmm.onboarding.trial import try_vectors

    try_vectors(
        vectors,
        impressions,
        schema=schema,
        user=user,
        item=item,
        time_column=time,
        label=label,
        ids=ids,
        out=out,
        seed=seed,
        console=console,
    )


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


@app.command()
def serve(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of models, MODEL/VERSION/.")
    ] = None,
    rest_api_port: Annotated[int, typer.Option("--rest_api_port")] = 8501,
    port: Annotated[int, typer.Option("--port", help="gRPC; 0 for none.")] = 8500,
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    model_config_file: Annotated[
        Path | None, typer.Option("--model_config_file")
    ] = None,
    model_name: Annotated[str, typer.Option("--model_name")] = "default",
    model_base_path: Annotated[Path | None, typer.Option("--model_base_path")] = None,
) -> None:
    """Serves SavedModels as TF Serving does, for development and small shops.

    Takes tensorflow_model_server's flag names, so that the real binary can take its
    place.
    """
    from tfmm.serving.terminal import models_of, serve_and_tell

    models = models_of(folder, model_config_file, model_name, model_base_path)
    serve_and_tell(models, host, rest_api_port, port, console)


@app.command()
def request(
    recipe: Annotated[
        Path | None,
        typer.Argument(help="Send the example request of this recipe's last run."),
    ] = None,
    url: Annotated[str, typer.Option(help="The server.")] = "http://127.0.0.1:8501",
    model: Annotated[str, typer.Option(help="The model's name.")] = "ranker",
    item: Annotated[
        list[str] | None, typer.Option(help="A candidate's id; repeat it.")
    ] = None,
    history: Annotated[
        list[str] | None, typer.Option(help="An item of the history, oldest first.")
    ] = None,
    history_type: Annotated[
        list[str] | None,
        typer.Option(
            "--history-type",
            "--history_type",
            help="The type of each item of the history in turn, or one for all.",
        ),
    ] = None,
    user_key: Annotated[
        int | None,
        typer.Option("--user-key", "--user_key", help="The user's keyed hash."),
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE of a feature, e.g. context_hour=8; of candidate_..., "
            "one value per item with commas between. Left out, it is missing."
        ),
    ] = None,
) -> None:
    """Sends one user with candidates to a server and prints the ranking."""
    from tfmm.road.ask import ask, ask_example

    own = [item, history, history_type, value, user_key]
    if recipe is not None and any(option is not None for option in own):
        raise TfmmError(
            "A recipe's example is sent as it is. Received: a recipe and options of a "
            "request. Leave the recipe out, or all but --url and --model."
        )
    if recipe is not None:
        console.print(ask_example(url, model, recipe))
        return
    if not item:
        raise TfmmError(
            "Give either a recipe, whose example is sent, or candidates by --item. "
            "Received: neither. Example: tfmm request --item 1 --item 2."
        )
    types = history_type or []
    table = ask(url, model, item, history or [], user_key or 0, value or [], types)
    console.print(table)


@app.command()
def version() -> None:
    """Prints the version."""
    console.print(tfmm.__version__)
