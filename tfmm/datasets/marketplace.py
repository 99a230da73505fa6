"""A simulated marketplace with pictures, titles, tastes, logs and a known truth.

Shoppers have a few lasting interests in shapes, colours, patterns and styles. Their
history tells these interests, the pictures and titles of items tell the attributes,
and the ids of rare and new items tell nothing. Every impression's probability of a
click is known, and so are the best AUC and GAUC that any model can reach.

    python -m tfmm.datasets.marketplace --size demo --out DIR --seed 7
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfmm.datasets import marketplace_log as log
from tfmm.datasets.marketplace_config import SIZES, MarketplaceConfig
from tfmm.datasets.marketplace_searches import searches_of_day
from tfmm.datasets.marketplace_shelf import Market
from tfmm.datasets.marketplace_tables import (
    SCHEMAS,
    event_table,
    impression_table,
    item_tables,
    schema_of,
    user_table,
)
from tfmm.datasets.marketplace_truth import KIND, best_scores
from tfmm.datasets.marketplace_world import make_items, make_shoppers
from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest, write_manifest, writing

__all__ = ["SIZES", "MarketplaceConfig", "best_scores", "generate", "main"]

Progress = Callable[[str, int, int], None]


def generate(
    folder: str | Path,
    size: str | MarketplaceConfig = "demo",
    seed: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Simulates a marketplace and writes its tables; same seed, same bytes.

    The folder holds `items.parquet`, `users.parquet`, `impressions.parquet`,
    `events.parquet`, `searches.parquet`, the `schema.yaml` that gives their columns
    roles, `truth.parquet` (the click probability of each row of the impressions) and
    `manifest.json`. Days are simulated and written one by one, so memory is bounded
    by a day.

    Args:
        folder: Where to write; replaced as a whole, and only when all is done.
        size: `"smoke"`, `"demo"`, `"standard"`, `"large"`, or a `MarketplaceConfig`.
        seed: In place of the configuration's seed.
        progress: Called with (what, done, total) now and then.

    Returns:
        The folder.

    Raises:
        TfmmError: If the size or one of its fields is out of range.

    Example:
        >>> import tempfile
        >>> size = MarketplaceConfig.of_size("smoke", users=20, searches=5, items=40)
        >>> folder = generate(tempfile.mkdtemp() + "/shop", size)
        >>> pq.read_table(folder / "items.parquet").num_rows
        40
    """
    config = _config(size, seed)
    report = progress or (lambda what, done, total: None)
    items, shoppers = make_items(config), make_shoppers(config)
    market = Market(config, items, shoppers)
    counts = {name: 0 for name in SCHEMAS}
    with writing(folder) as tmp:
        with _Writer(tmp / "items.parquet", "items") as out:
            for table in item_tables(config, items):
                counts["items"] += out.write(table)
                report("items", counts["items"], config.items)
        with _Writer(tmp / "users.parquet", "users") as out:
            counts["users"] = out.write(user_table(shoppers))
        _write_days(tmp, market, counts, report)
        schema_of(config).to_yaml(tmp / "schema.yaml")
        write_manifest(
            tmp,
            kind=KIND,
            counts={"read": 0, "written": counts, "dropped": {}},
            seed=config.seed,
            log_only_items=int((~items.listed).sum()),
            new_items=int((items.born > 0).sum()),
        )
    return Path(folder)


def _config(size: str | MarketplaceConfig, seed: int | None) -> MarketplaceConfig:
    config = MarketplaceConfig.of_size(size) if isinstance(size, str) else size
    return config if seed is None else dataclasses.replace(config, seed=seed)


def _write_days(
    folder: Path, market: Market, counts: dict[str, int], report: Progress
) -> None:
    config = market.config
    quota = np.diff(np.linspace(0, config.searches, config.days + 1).astype(int))
    requests = 0
    with (
        _Writer(folder / "impressions.parquet", "impressions") as impressions,
        _Writer(folder / "truth.parquet", "truth") as truth,
        _Writer(folder / "events.parquet", "events") as events,
        _Writer(folder / "searches.parquet", "searches") as searches,
    ):
        for day in range(config.days):
            found, purchases = searches_of_day(market, day, int(quota[day]))
            shown = log.impressions_of_day(market, day, requests)
            requests = max(requests, int(shown.request.max(initial=-1)) + 1)
            done = log.events_of_day(market, day, shown, purchases)
            counts["searches"] += searches.write(pa.table(found, SCHEMAS["searches"]))
            counts["impressions"] += impressions.write(impression_table(market, shown))
            counts["events"] += events.write(event_table(market, done))
            truth_table = pa.table({"probability": shown.probability})
            counts["truth"] += truth.write(truth_table)
            report("days", day + 1, config.days)


class _Writer:
    """A Parquet file that is written table by table."""

    def __init__(self, path: Path, name: str) -> None:
        self._schema = SCHEMAS[name]
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, table: pa.Table) -> int:
        self._file.write_table(table.cast(self._schema))
        return table.num_rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tfmm.datasets.marketplace",
        description="Simulate a marketplace: pictures, titles, logs, and the truth.",
    )
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--size", default="demo", choices=SIZES)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    try:
        with _Bar() as bar:
            generate(options.out, options.size, options.seed, bar)
    except TfmmError as error:
        print(error, file=sys.stderr)
        return 1
    written = read_manifest(options.out, kind=KIND)["counts"]["written"]
    print(f"{options.out}: " + ", ".join(f"{n:,} {w}" for w, n in written.items()))
    return 0


class _Bar:
    """A progress bar a kind of work, on standard error."""

    def __enter__(self) -> "_Bar":
        from rich.console import Console
        from rich.progress import Progress as Rich

        self._rich = Rich(console=Console(stderr=True))
        self._tasks: dict[str, Any] = {}
        self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rich.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._rich.add_task(what, total=total)
        self._rich.update(self._tasks[what], completed=done)


if __name__ == "__main__":
    sys.exit(main())
