"""The marketplace day by day: what is known on the eve of each test day."""

import dataclasses
import datetime
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_jobs import behaviours, item_index, vocabularies
from tfmm.catalog import Catalog
from tfmm.datasets.marketplace import MarketplaceConfig, generate
from tfmm.datasets.marketplace_log import DAY, START
from tfmm.datasets.marketplace_world import make_items
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import NAME, read_manifest
from tfmm.records.vocabularies import Vocabularies
from tfmm.schema import GlobalTime, Schema

NOISE, DIMENSION = 0.5, 32


@dataclasses.dataclass(frozen=True)
class Day:
    """The records of one test day and of all that is known before it.

    Args:
        folder: `index`, `vocabularies` and `timelines`: `train` holds all days but the
            newest known one, `validation` that one, `test` the day itself.
        number: Day of the log, from 0.
    """

    folder: Path
    number: int

    def vocabularies(self) -> Vocabularies:
        """Learnt from all days before this one."""
        return Vocabularies.open(self.folder / "vocabularies")

    def index(self) -> ItemIndex:
        """All items that this day's log and catalogue know."""
        return ItemIndex.open(self.folder / "index")

    def timelines(self, part: str) -> Path:
        """The folder of a part's timelines."""
        return self.folder / "timelines" / part

    def impressions(self, part: str) -> int:
        """How many impressions a part has."""
        return int(read_manifest(self.timelines(part))["counts"]["impressions"])


def days(config: MarketplaceConfig, folder: Path) -> list[Day]:
    """Simulates the log and runs the jobs for every test day; what stands stays.

    Args:
        config: The marketplace; its new items come one by one in its test days.
        folder: Where everything is written.
    """
    shop, key = folder / "shop", folder / "user.key"
    if not (shop / NAME).is_file():
        generate(shop, config)
    key.write_text("simulated-shoppers-have-no-secrets")
    found: list[Day] = []
    for number in range(config.first_test_day, config.days):
        day = Day(folder / f"day-{number:02d}", number)
        if not (day.folder / "timelines" / NAME).is_file():
            _build(shop, day, found[-1] if found else None, str(key))
        found.append(day)
    return found


def catalog(config: MarketplaceConfig, day: Day) -> Catalog:
    """Vectors of the items known on a day: their true attributes, blurred.

    They stand for those of a tower that does not change over the days.
    """
    items = make_items(config)
    rng = np.random.default_rng(config.seed)
    hot = [np.eye(int(column.max()) + 1)[column] for column in items.attributes.T]
    matrix = np.concatenate(hot, axis=1)
    matrix = matrix @ rng.normal(size=(matrix.shape[1], DIMENSION))
    matrix += NOISE * rng.normal(size=matrix.shape)
    return Catalog.from_vectors(
        items.ids.tolist(),
        matrix,
        name="attributes",
        version="1",
        modality="image",
        index=day.index(),
    )


def _build(shop: Path, day: Day, before: Day | None, key: str) -> None:
    tables = day.folder / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    _cut_tables(shop, tables, START + (day.number + 1) * DAY)
    known = _schema(shop, tables / "known.yaml", None, day.number)
    parts = _schema(shop, tables / "parts.yaml", day.number - 1, day.number)
    index, words = str(day.folder / "index"), str(day.folder / "vocabularies")
    previous = str(before.folder / "index") if before else None
    item_index.run(known, index, previous)
    vocabularies.run(known, index, words, key)
    behaviours.run(parts, index, words, str(day.folder / "timelines"), key)


def _cut_tables(shop: Path, folder: Path, end: int) -> None:
    """The tables as they stood at a moment; items that come later are not listed."""
    later: list[pa.Array] = []
    seen: list[pa.Array] = []
    for name in ("impressions", "events"):
        table = pq.read_table(shop / f"{name}.parquet")
        early = pc.less(table["time"], end)
        seen.append(table.filter(early)["item_id"].unique())
        later.append(table.filter(pc.invert(early))["item_id"].unique())
        pq.write_table(table.filter(early), folder / f"{name}.parquet")
    items = pq.read_table(shop / "items.parquet")
    coming = pc.is_in(items["item_id"], value_set=pa.concat_arrays(later))
    there = pc.is_in(items["item_id"], value_set=pa.concat_arrays(seen))
    kept = items.filter(pc.or_(there, pc.invert(coming)))
    pq.write_table(kept, folder / "items.parquet")
    shutil.copy(shop / "users.parquet", folder / "users.parquet")


def _schema(shop: Path, path: Path, validation: int | None, test: int) -> str:
    split = GlobalTime(
        rule="global_time",
        validation_from=None if validation is None else _midnight(validation),
        test_from=_midnight(test),
    )
    changes: dict[str, Any] = {"split": split, "searches": None}
    Schema.from_yaml(shop / "schema.yaml").model_copy(update=changes).to_yaml(path)
    return str(path)


def _midnight(day: int) -> datetime.datetime:
    start = datetime.datetime.fromtimestamp(START, datetime.UTC).replace(tzinfo=None)
    return start + datetime.timedelta(days=day)
