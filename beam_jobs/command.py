"""The command line of a job: readable help, one line at the end."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.job import Control
from tfmm.errors import TfmmError

_INTERRUPTED = 128 + signal.SIGINT
_CONTROL = ("max_bad_fraction", "dry_run", "shards")


def parser(description: str) -> argparse.ArgumentParser:
    """A job's argument parser; what it does not know goes to Beam."""
    made = argparse.ArgumentParser(
        description=description,
        epilog="All other flags go to Beam, such as --runner=DataflowRunner "
        "(docs/clusters.md) or --direct_running_mode=multi_processing.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    control = made.add_argument_group("how it runs")
    control.add_argument(
        "--max_bad_fraction",
        type=float,
        default=Control.max_bad_fraction,
        metavar="SHARE",
        help="most bad records of a table; with more of them nothing is written",
    )
    control.add_argument(
        "--dry_run", action="store_true", help="say what would be done, do nothing"
    )
    control.add_argument(
        "--shards", type=int, metavar="N", help="output files; by the rows if absent"
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
    given = vars(known)
    began = time.monotonic()
    # A job opens its inputs before there is a pipeline that would say this.
    FileSystems.set_options(PipelineOptions(rest))
    try:
        control = Control(progress=True, **{name: given.pop(name) for name in _CONTROL})
        manifest = run(**given, control=control, pipeline_args=rest)
    except TfmmError as error:
        raise SystemExit(f"{error}") from None
    except KeyboardInterrupt:
        print(
            "Stopped. Nothing was put in place; the same command goes on from what is "
            "finished.",
            file=sys.stderr,
        )
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
