"""Verbs on a user's own tables: init, check, try."""

from pathlib import Path
from typing import Annotated

import typer

from tfmm.cli.app import app, console


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
