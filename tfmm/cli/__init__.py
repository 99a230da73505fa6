"""The command `tfmm`: one thin function per verb."""

import logging
import os
import warnings

from rich.markup import escape

import tfmm
from tfmm.cli import data, exports, road, serving  # noqa: F401  (they register their verbs)
from tfmm.cli.app import app, console
from tfmm.errors import TfmmError


@app.command()
def version() -> None:
    """Prints the version."""
    console.print(tfmm.__version__)


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
