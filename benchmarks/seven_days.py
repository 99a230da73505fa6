"""Seven days of a ranker's life: warm start, from scratch, never updated.

    python -m benchmarks.seven_days [--size smoke|standard]

Before each test day the jobs run on all that the log knows by then; new items and
values appear every day. Three rankers meet the day's requests: one trained from scratch
on all days before, one that starts from its own state of yesterday and trains on the
newest day alone, and one that was trained before the first day and knows nothing since.
Every model is read from the file that it was saved to the day before. Each cell is a
line of the results file, and a second run goes on where the first one ended.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import tfmm
from benchmarks.scl_cells import Cell, append_cell, read_cells
from benchmarks.seven_days_data import Day, catalog, days
from tfmm.datasets.marketplace import MarketplaceConfig
from tfmm.evaluation import collect, gauc
from tfmm.ranking import RankingModel, ranking_optimizer
from tfmm.records.row_maps import EVENT_TYPE, NEW, row_maps
from tfmm.records.spec import UNKNOWN_CODE
from tfmm.records.vocabularies import USER, Vocabularies

WAYS = ("never updated", "from scratch", "warm start")
STALE, SCRATCH, WARM = WAYS
# CPU time of reading, building, tracing and training; of the steps alone.
COSTS = {"seconds": "CPU s", "steps": "steps s", "examples": "examples"}
INTERESTS = ("din", "simtier")
Batch = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """What a run costs."""

    market: MarketplaceConfig
    batch: int = 64
    rate: float = 2e-3
    hidden: tuple[int, ...] = (64, 32)


SIZES = {
    "standard": Size(
        MarketplaceConfig.of_size(
            "demo", users=1500, items=2000, searches=100, test_days=7
        )
    ),
    "smoke": Size(
        MarketplaceConfig.of_size("smoke", users=60, items=120, days=6, test_days=2),
        hidden=(8,),
    ),
}


def new_ranker(size: Size, day: Day, steps: int) -> RankingModel:
    """A ranker for the ids of a day, its rate falling to 0 over its training."""
    vectors = catalog(size.market, day)
    ranker = RankingModel(day.vocabularies(), vectors, INTERESTS, hidden=size.hidden)
    rate = keras.optimizers.schedules.CosineDecay(size.rate, steps)
    ranker.compile(ranking_optimizer(rate))
    return ranker


def train(size: Size, day: Day, parts: tuple[str, ...], old: Day | None) -> Cell:
    """Trains on some parts of what is known, from an older ranker's state or none."""
    begin, clock = time.process_time(), _AfterTracing()
    keras.utils.set_random_seed(day.number)
    known = day.vocabularies()
    read = [
        tfmm.data.requests(
            day.timelines(part), known, size.batch, shuffle=True, seed=day.number
        )
        for part in parts
    ]
    data = read[0] if len(read) == 1 else read[0].concatenate(read[1])
    ranker = new_ranker(size, day, sum(map(len, read)))
    cell: Cell = {}
    if old is not None:
        yesterdays = keras.models.load_model(model_of(old, WARM))
        taken = ranker.warm_start(yesterdays, old.vocabularies(), known, day.index())
        cell["new"] = {name: counts.new for name, counts in taken.tables.items()}
    ranker.fit(data, shuffle=False, verbose=0, callbacks=[clock])
    cell["seconds"] = round(time.process_time() - begin, 2)
    cell["steps"] = round(time.process_time() - clock.begin, 2)
    cell["examples"] = sum(map(day.impressions, parts))
    way = SCRATCH if old is None else WARM
    ranker.save(model_of(day, way))
    return cell


class _AfterTracing(keras.callbacks.Callback):
    """Notes when the first step is over, which is spent on tracing the graph."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.begin = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.begin = self.begin or time.process_time()


def model_of(day: Day, way: str) -> Path:
    """Where a day's ranker is kept; the first one is trained from scratch."""
    path = day.folder / f"{way.replace(' ', '_')}.keras"
    first = day.folder / f"{SCRATCH.replace(' ', '_')}.keras"
    return path if path.exists() or way == SCRATCH or not first.exists() else first


def score(day: Day, path: Path, trained: Day) -> float:
    """GAUC of a saved ranker on a day's requests."""
    ranker = keras.models.load_model(path, compile=False)
    known = day.vocabularies()
    batches: Iterable[Batch] = tfmm.data.requests(day.timelines("test"), known, 256)
    if trained != day:
        translate = as_known(trained.vocabularies(), known)
        batches = map(translate, batches)
    rows = collect(ranker, batches, "click")
    return gauc(rows.user_key, rows.label, rows.probability).value


def as_known(old: Vocabularies, new: Vocabularies) -> Callable[[Batch], Batch]:
    """Requests as an older ranker's codes have them: what it never saw is unknown."""
    maps = row_maps(old, new)
    codes = {
        name: np.where(rows.source == NEW, UNKNOWN_CODE, rows.source).astype(np.int32)
        for name, rows in maps.items()
    }
    tables = {name: codes[name] for name in codes if name not in ("item", EVENT_TYPE)}
    tables |= {USER: codes[USER], "history_type": codes[EVENT_TYPE]}

    def translate(batch: Batch) -> Batch:
        found = {name: np.asarray(value) for name, value in batch.items()}
        for name in found.keys() & tables.keys():
            found[name] = tables[name][found[name]]
        for name in ("item", "history_item"):
            known = found[name] < old.spec.rows
            found[name] = np.where(known, found[name], UNKNOWN_CODE)
        return found

    return translate


def live(size: Size, all_days: list[Day], results: Path) -> list[Cell]:
    """Runs every cell that is not done; the first day is all three rankers' start."""
    done = {(c["day"], c["way"]): c for c in read_cells(results)}
    first = all_days[0]
    for place, day in enumerate(all_days):
        for way in WAYS if place else (SCRATCH,):
            if (day.number, way) in done:
                continue
            cell: Cell = {"seconds": 0.0, "steps": 0.0, "examples": 0}
            if way == SCRATCH:
                cell = train(size, day, ("train", "validation"), None)
            elif way == WARM:
                cell = train(size, day, ("validation",), all_days[place - 1])
            trained = first if way == STALE else day
            path = model_of(trained, SCRATCH if way == STALE else way)
            cell |= {"day": day.number, "way": way, "gauc": score(day, path, trained)}
            done[day.number, way] = cell
            append_cell(results, cell)
            print(
                f"  day {day.number} {way}: GAUC {cell['gauc']:.4f}, "
                f"{cell['seconds']} s CPU, {cell['steps']} s of them steps, "
                f"{cell['examples']:,} examples",
                flush=True,
            )
    return list(done.values())


def show(cells: list[Cell]) -> None:
    """A line a day, then means and ratios over the days after the first."""
    by_day: dict[int, dict[str, Cell]] = {}
    for cell in cells:
        by_day.setdefault(cell["day"], {})[cell["way"]] = cell
    heads = "".join(f"{way:>15}" for way in WAYS)
    print(f"\nGAUC      {heads}   new users, items")
    for number, found in sorted(by_day.items()):
        line = "".join(
            f"{found[way]['gauc']:15.4f}" if way in found else f"{'':15}"
            for way in WAYS
        )
        new = found.get(WARM, {}).get("new")
        grown = f"{new['user']:>9}, {new['item']:>5}" if new else ""
        print(f"day {number:<6}{line}   {grown}")
    whole = [found for found in by_day.values() if len(found) == len(WAYS)]
    if not whole:
        return

    def column(way: str, name: str) -> np.ndarray:
        return np.array([found[way][name] for found in whole], float)

    means = "".join(f"{column(way, 'gauc').mean():15.4f}" for way in WAYS)
    print(f"mean      {means}")
    for name, title in COSTS.items():
        figures = "".join(f"{column(way, name).sum():15,.0f}" for way in WAYS)
        ratio = column(WARM, name).sum() / column(SCRATCH, name).sum()
        print(f"{title:10}{figures}   warm / scratch {ratio:.2f}")
    for other in (SCRATCH, STALE):
        gap = column(WARM, "gauc") - column(other, "gauc")
        error = gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else np.nan
        print(f"warm start - {other}: {gap.mean():+.4f} ± {error:.4f} GAUC a day")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    parser.add_argument("--folder", type=Path, help="of data and results; resumed")
    options = parser.parse_args()
    folder = options.folder or Path(f"out/benchmarks/seven_days-{options.size}")
    size = SIZES[options.size]
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    all_days = days(size.market, folder)
    built = time.perf_counter() - begin
    print(f"{len(all_days)} test days; simulated and built in {built:.0f} s")
    show(live(size, all_days, folder / "results.jsonl"))
    print(f"{time.perf_counter() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
