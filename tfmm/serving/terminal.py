"""The server as the command line runs it: what it says while it starts."""

import ipaddress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from tfmm.errors import TfmmError
from tfmm.serving.config_file import ModelConfigFile
from tfmm.serving.server import Models, Server, serve


def models_of(
    folder: Path | None,
    model_config_file: Path | None,
    model_name: str,
    model_base_path: Path | None,
    config_poll_seconds: float = 0,
) -> Models:
    """What to serve, of the three ways to name it.

    Args:
        folder: Folder of models.
        model_config_file: A models.config.
        model_name: Name of the model of `model_base_path`.
        model_base_path: Folder of one model's versions.
        config_poll_seconds: Time between two looks at the models.config; 0 for none
            after the first.

    Raises:
        TfmmError: If not exactly one way is used.
    """
    given = [folder, model_config_file, model_base_path]
    count = sum(value is not None for value in given)
    if count != 1:
        raise TfmmError(
            "Name the models in exactly one way: a folder, --model_config_file or "
            f"--model_base_path. Received: {count} of them."
        )
    if folder is not None:
        return folder
    if model_config_file is not None:
        return ModelConfigFile(model_config_file, config_poll_seconds)
    assert model_base_path is not None
    return {model_name: model_base_path}


def serve_and_tell(models: Models, host: str, console: Console, **options: Any) -> None:
    """Serves until Ctrl-C; tells the address, and who else may reach it.

    Args:
        models: As for `Server`.
        host: Address to listen on.
        console: Where to print.
        **options: As for `Server`.

    Raises:
        TfmmError: As for `Server`.
    """
    if not is_loopback(host):
        console.print(
            f"[bold yellow]Warning:[/] other machines may reach {escape(host)!r}, and "
            "there is no authentication.",
            highlight=False,
        )
    status = console.status("Loading models ...")

    def ready(server: Server) -> None:
        status.stop()
        grpc = f"port {server.grpc_port}" if server.grpc_port else "off"
        url = escape(server.url)
        console.print(f"Serving at {url}/v1/models/MODEL:predict, gRPC {grpc}.")

    with status:
        serve(models, ready, host=host, **options)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on.

    Example:
        >>> [is_loopback(h) for h in ("localhost", "127.0.0.2", "0.0.0.0", "", "shop")]
        [True, True, False, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
