"""Verbs on exports: verify, replay, publish, rollback, serving-config."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tfmm.cli.app import RecipeFile, app, console

Version = Annotated[
    Path, typer.Argument(help="saved_models/MODEL/VERSION, or MODEL for its newest.")
]


@app.command()
def verify(
    folder: Version,
    server: Annotated[
        str, typer.Option(help="Version of TF Serving that shall run it.")
    ] = "2.20",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Proves an export from its files, as TF Serving would load and run it."""
    from tfmm.export import verify as checks

    with console.status("Loading and running it without Keras ..."):
        folder = checks.version_folder(folder)
        findings = checks.verify(folder, server)
    if as_json:
        print(checks.as_json(findings))
    else:
        table = Table("check", "", "seen", title=escape(str(folder)))
        for found in findings:
            mark = "[green]ok[/]" if found.ok else "[bold red]FAILED[/]"
            table.add_row(found.name, mark, escape(found.seen))
        console.print(table)
    if not all(found.ok for found in findings):
        raise typer.Exit(1)


@app.command()
def replay(
    folder: Version,
    against: Annotated[
        str, typer.Option(help="The server: http://HOST:8501 or grpc://HOST:8500.")
    ] = "http://127.0.0.1:8501",
    model: Annotated[
        str | None, typer.Option(help="The model's name there, if it is another.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(help="The version to ask; else the server's newest.")
    ] = None,
) -> None:
    """Sends an export's golden requests to a server and compares the answers."""
    from tfmm.export import replay as golden
    from tfmm.serving import Client

    name = model or golden.model_name(folder)
    title = f"{name} at {against}"
    table = Table("signature", "calls", "largest difference", "p50 ms", "p99 ms", "")
    table.title = escape(title)
    failed = False
    with Client(against) as client, console.status(f"Asking {escape(title)} ..."):

        def predict(signature, inputs):
            return client.predict(name, inputs, signature, version)

        for found in golden.replay(folder, predict):
            failed |= not found.ok
            p50, p99 = golden.np.percentile(found.milliseconds, [50, 99])
            mark = "[green]ok[/]" if found.ok else "[bold red]DIFFERS[/]"
            table.add_row(
                found.signature,
                str(found.calls),
                f"{found.largest:.1e}",
                f"{p50:.1f}",
                f"{p99:.1f}",
                mark,
            )
    console.print(table)
    if failed:
        raise typer.Exit(1)


@app.command()
def publish(
    recipe: RecipeFile,
    force: Annotated[
        bool, typer.Option("--force", help="Whatever the comparison says.")
    ] = False,
) -> None:
    """Exports and publishes the run's ranker, unless the served one is better.

    Both answer the test requests; `publish` of the recipe says how much worse in GAUC
    and calibration the new one may be.
    """
    from tfmm.road.recipe import Recipe
    from tfmm.road.road import Road
    from tfmm.road.stages import STAGES
    from tfmm.road.walk import walk

    road = Road(Recipe.from_yaml(recipe), console, force)
    walk(road, STAGES, only="export")
    console.print("Next: tfmm serve " + escape(str(road.saved_models)))


@app.command()
def rollback(
    model: Annotated[Path, typer.Argument(help="saved_models/MODEL")],
    to: Annotated[
        int | None, typer.Option(help="The version to go back to; else the one before.")
    ] = None,
) -> None:
    """Withdraws a model's newest versions; servers go back to an older one."""
    from tfmm.export import publish as published
    from tfmm.export.serving_files import renew_serving_files

    for number in published.rollback(model, to):
        console.print(f"Version {number} is now `withdrawn-{number}`.")
    kept = published.versions(model)[-1]
    console.print(f"Servers go back to version {kept} when they next look.")
    renewed = renew_serving_files(model.absolute().parent)
    if renewed is not None:
        console.print(
            f"Renewed: {escape(str(renewed))}, without labels of what is gone."
        )


@app.command("serving-config")
def serving_config(
    folder: Annotated[Path, typer.Argument(help="Folder of models.")] = Path(
        "saved_models"
    ),
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="MODEL/LABEL=VERSION, e.g. ranker/canary=7; repeat it. The labels of "
            "the last time when absent."
        ),
    ] = None,
) -> None:
    """Writes TensorFlow Serving's configuration and start script for the models."""
    from tfmm.export.serving_files import read_labels, write_serving_files

    written = write_serving_files(folder, read_labels(label) if label else None)
    console.print(f"Written: {escape(str(written))}. Next: deploy/serving.")
