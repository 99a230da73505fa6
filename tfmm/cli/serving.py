"""Verbs on served models: serve, request."""

from pathlib import Path
from typing import Annotated

import typer

from tfmm.cli.app import app, console
from tfmm.errors import TfmmError


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
    model_config_file_poll_wait_seconds: Annotated[
        float,
        typer.Option(
            "--model_config_file_poll_wait_seconds",
            help="Read the config again this often; 0 for never.",
            min=0,
        ),
    ] = 0,
    file_system_poll_wait_seconds: Annotated[
        float,
        typer.Option(
            "--file_system_poll_wait_seconds",
            help="Look for new versions this often.",
            min=0.01,
        ),
    ] = 1,
    max_body_bytes: Annotated[
        int,
        typer.Option("--max_body_bytes", help="Longest request; 413 beyond.", min=1),
    ] = 64 << 20,
) -> None:
    """Serves SavedModels as TF Serving does, for development and small shops.

    Takes tensorflow_model_server's flag names, so that the real binary can take its
    place. Metrics are at /monitoring/prometheus/metrics of the REST port.
    """
    from tfmm.serving.terminal import models_of, serve_and_tell

    models = models_of(
        folder,
        model_config_file,
        model_name,
        model_base_path,
        model_config_file_poll_wait_seconds,
    )
    serve_and_tell(
        models,
        host,
        console,
        rest_api_port=rest_api_port,
        grpc_port=port,
        poll_seconds=file_system_poll_wait_seconds,
        max_body_bytes=max_body_bytes,
    )


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
