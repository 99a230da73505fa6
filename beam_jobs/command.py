"""The command line of a job: readable help, one line at the end."""

import argparse
import difflib
import re
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import Any

from beam_jobs.job import Control
from tfmm.errors import TfmmError

_INTERRUPTED = 128 + signal.SIGINT
_STOPPED = "Stopped. The same command goes on from what is finished."
_CONTROL = ("max_bad_fraction", "dry_run", "shards")
_ALIKE, _EXAMPLE_WIDTH = 0.85, 68
_EPILOG = (
    "All other flags go to Beam, such as --runner=DataflowRunner (docs/clusters.md) or "
    "--direct_running_mode=multi_processing. A job that is killed or stopped goes on "
    "when the same command is run again. More in docs/beam_jobs.md."
)


def parser(
    does: str | None, *, name: str, reads: str, writes: str, example: str
) -> argparse.ArgumentParser:
    """A job's argument parser; what it does not know goes to Beam.

    Args:
        does: What it does, in one sentence.
        name: The job's name.
        reads: What it reads.
        writes: What it writes.
        example: Its flags in an ordinary case.
    """
    typed = f"python -m beam_jobs.{name}"
    made = argparse.ArgumentParser(
        prog=typed,
        usage=f"{typed} FLAGS",
        description=f"{does}\n\nreads   {reads}\nwrites  {writes}\n\nexample:\n"
        + _example(typed, example),
        epilog=_EPILOG,
        formatter_class=_Help,
        allow_abbrev=False,
        add_help=False,
    )
    made._optionals.title = "what it works on"
    control = made.add_argument_group("how it runs")
    control.add_argument("--help", "-h", action="help", help="say this")
    control.add_argument(
        "--max_bad_fraction",
        type=float,
        default=Control.max_bad_fraction,
        help="most bad records of a table; with more of them nothing is written",
    )
    control.add_argument(
        "--dry_run",
        action="store_true",
        help="say what would be read, written and needed, and do nothing",
    )
    control.add_argument(
        "--shards", type=int, help="number of shards; by that of the rows when absent"
    )
    return made


def main(
    arguments: argparse.ArgumentParser,
    run: Callable[..., dict[str, Any]],
    said: Callable[[dict[str, Any]], str],
    argv: Sequence[str] | None = None,
) -> None:
    """Runs a job from the command line; prints one line of counts and what is next.

    Args:
        arguments: The job's parser.
        run: The job's `run`.
        said: From its manifest to the line.
        argv: The command line; the process's own when absent.
    """
    known, rest = arguments.parse_known_args(argv)
    _refuse_misspelt(arguments, rest)
    given = vars(known)
    began = time.monotonic()
    try:
        control = Control(progress=True, **{name: given.pop(name) for name in _CONTROL})
        manifest = run(**given, control=control, pipeline_args=rest)
    except TfmmError as error:
        raise SystemExit(f"{error}") from None
    except KeyboardInterrupt:
        print(_STOPPED, file=sys.stderr)
        raise SystemExit(_INTERRUPTED) from None
    if manifest:
        print(f"{said(manifest)} ({time.monotonic() - began:.1f} s)")


def counted(counts: dict[str, Any], what: str) -> str:
    """Counts as words.

    Example:
        >>> counted({"read": 1200, "written": 1199, "dropped": {"no_user": 1}}, "rows")
        '1,200 rows read, 1,199 written, 1 dropped (no_user 1)'
    """
    dropped = counts.get("dropped", {})
    text = f"{counts['read']:,} {what} read, {counts['written']:,} written"
    if dropped:
        reasons = ", ".join(f"{why} {n:,}" for why, n in sorted(dropped.items()))
        text += f", {sum(dropped.values()):,} dropped ({reasons})"
    return text


def _example(typed: str, flags: str) -> str:
    """A command over several lines, a flag never parted from its value."""
    joined = flags.replace(" ", "\0").replace("\0--", " --")
    lines = [f"  {typed}", *textwrap.wrap(joined, _EXAMPLE_WIDTH)]
    return " \\\n      ".join(lines).replace("\0", " ")


def _refuse_misspelt(arguments: argparse.ArgumentParser, rest: Sequence[str]) -> None:
    """Beam would pass over a misspelt flag of the job with a warning."""
    own = [flag for action in arguments._actions for flag in action.option_strings]
    for flag in (each.split("=")[0] for each in rest if each.startswith("--")):
        for meant in difflib.get_close_matches(flag, own, 1, _ALIKE):
            arguments.error(f"there is no flag {flag}; did you mean {meant}?")


class _Help(argparse.HelpFormatter):
    """Lines stay lines, wrapped below their second word; defaults where they say much.

    Args:
        prog: What is typed.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(_wrapped(line, width) for line in text.splitlines())

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        if action.required:
            return f"{text} (required)"
        if default in (None, False, argparse.SUPPRESS):
            return text
        words = " ".join(map(str, default if isinstance(default, list) else [default]))
        return f"{text} (default: {words})"

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        if action.type in (int, float):
            return "N"
        if action.nargs:
            return action.dest.removesuffix("s").upper()
        is_file = action.dest == "schema" or action.dest.endswith("_file")
        return "FILE" if is_file else "FOLDER"


def _wrapped(line: str, width: int) -> str:
    if line.startswith(" "):
        return line
    first = re.match(r"\w+ {2,}", line)
    indent = " " * (first.end() if first else 0)
    return textwrap.fill(line, width, subsequent_indent=indent)
