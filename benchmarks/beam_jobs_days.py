"""A day added to timelines, against one run over all days, for short and long logs."""

import argparse
import datetime
from pathlib import Path
from statistics import median

from beam_jobs import behaviours
from benchmarks.beam_jobs_behaviours import files
from benchmarks.beam_jobs_data import DAY, START, prepare
from benchmarks.process_cost import Cost, cost_apart, measured, print_cost

DAYS, ROWS_A_DAY = (15, 60), 100_000
ROW_GROUP = 1 << 16
BEFORE, ADDED, WHOLE = "all but the last day", "the last day added", "all days"


def date(day: int) -> str:
    """A day of the log, 0 the first."""
    moment = datetime.datetime.fromtimestamp(START + day * DAY, datetime.UTC)
    return str(moment.date())


def build(way: str, folder: Path, days: int) -> None:
    """Writes timelines of a prepared log."""
    names = ("schema.yaml", "index", "vocabularies")
    places = [str(folder / name) for name in names]
    last = {BEFORE: days - 2, ADDED: days - 1, WHOLE: days - 1}[way]
    behaviours.run(
        *places,
        str(folder / way),
        str(folder / "key"),
        previous=str(folder / BEFORE) if way == ADDED else None,
        from_day=date(last) if way == ADDED else None,
        to_day=date(last),
    )


def compare(base: Path, days: int, runs: int) -> Cost:
    """Median cost of adding a day; prints a line for each way."""
    folder = base / f"days-{days}"
    prepare(folder, ROWS_A_DAY * days, days, ROW_GROUP)
    costs: dict[str, list[Cost]] = {BEFORE: [], ADDED: [], WHOLE: []}
    for _ in range(runs):
        for way, found in costs.items():
            found.append(cost_apart(__spec__.name, way, str(folder), str(days)))
    if files(folder / ADDED) != files(folder / WHOLE):
        raise RuntimeError("A day added gave other records than one run over all days.")
    medians = {
        way: Cost(*map(median, zip(*x, strict=True))) for way, x in costs.items()
    }
    for way in (WHOLE, ADDED):
        cost = medians[way]
        share = cost.cpu / medians[WHOLE].cpu
        print(
            f"{days:>6}  {way:<20}{cost.cpu:>8.1f}{cost.wall:>8.1f}{cost.peak:>10,.0f}"
            f"{share:>8.2f}x",
            flush=True,
        )
    return medians[ADDED]


def section(base: Path, runs: int) -> None:
    """Prints the table."""
    print(
        f"\ndays: {ROWS_A_DAY:,} impressions a day, the same bytes either way, medians "
        f"of {runs} runs in turn"
    )
    print(f"{'days':>6}  {'way':<20}{'CPU s':>8}{'wall s':>8}{'peak MiB':>10}  of all")
    costs = [compare(base, days, runs).cpu for days in DAYS]
    times = DAYS[1] / DAYS[0]
    print(
        f"a day added to {times:.0f} times the log costs "
        f"{costs[1] / costs[0]:.1f} times the CPU"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=(BEFORE, ADDED, WHOLE))
    parser.add_argument("folder", type=Path)
    parser.add_argument("days", type=int)
    chosen = parser.parse_args()
    print_cost(measured(lambda: build(chosen.way, chosen.folder, chosen.days)))


if __name__ == "__main__":
    main()
