"""The command's application, and the console that everything is printed to."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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
