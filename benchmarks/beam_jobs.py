"""The Beam jobs on one machine against the same work by other means.

    pip install polars
    python -m benchmarks.beam_jobs [--sections behaviours days] [--rows 1000000]

* `behaviours`: impressions to timelines on the FnApiRunner, against a program in polars
  and numpy that writes the same files, and against a Beam pipeline row by row (up to a
  million impressions) that writes the same records. CPU seconds, wall seconds, peak
  memory, and memory per row above the idle process.
* `days`: a day added to the timelines of a short and of a long log, against one run
  over all days that writes the same files.
* `embed_items`: items to a catalog of vectors, against the bare encoder; and with one
  item in a hundred changed, against a full run.

Every figure is of a process of its own; ratios are of runs in turn.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks import beam_jobs_behaviours, beam_jobs_days, beam_jobs_embed

SECTIONS = ("behaviours", "days", "embed_items")
ROWS, RUNS = (1_000_000, 10_000_000), 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=RUNS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        if "behaviours" in chosen.sections:
            beam_jobs_behaviours.section(Path(base), chosen.rows, chosen.runs)
        if "days" in chosen.sections:
            beam_jobs_days.section(Path(base), chosen.runs)
        if "embed_items" in chosen.sections:
            beam_jobs_embed.section(Path(base), chosen.runs)


if __name__ == "__main__":
    main()
