"""A shop's log of any size for the benchmarks of the jobs, and what comes before it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from beam_jobs import item_index, vocabularies

KEY = b"0123456789abcdef"
DAY, START = 86_400, 1_699_920_000  # A midnight.
DAYS, VALIDATION_DAYS, TEST_DAYS = 30, 3, 3
ITEMS, SHOWN, USER_ROWS, CLICKED, MAX_HISTORY = 50_000, 5, 20, 0.1, 50
ROW_GROUP = 1 << 18


def split_from(days: int) -> list[int]:
    """Where validation and the test begin, seconds since 1970."""
    test_from = START + (days - TEST_DAYS) * DAY
    return [test_from - VALIDATION_DAYS * DAY, test_from]


SPLIT_FROM = split_from(DAYS)


def schema_of(days: int) -> dict[str, Any]:
    """The schema of a log of so many days: the last ones validate and test."""
    validation_from, test_from = split_from(days)
    return {
        "name": "benchmark",
        "impressions": {
            "files": "impressions.parquet",
            "user": "user",
            "item": "item",
            "time": "time",
            "labels": ["click"],
        },
        "history": {"label": "click", "max_length": MAX_HISTORY},
        "split": {
            "rule": "global_time",
            "validation_from": validation_from,
            "test_from": test_from,
        },
    }


def write_log(
    folder: Path, rows: int, days: int = DAYS, row_group: int = ROW_GROUP
) -> None:
    """Requests of five impressions by time, twenty impressions a user, a tenth clicked.

    Users are text, as most logs have them; items follow a power law.
    """
    random = np.random.default_rng(1)
    requests = rows // SHOWN
    user = random.integers(0, max(1, rows // USER_ROWS), requests).repeat(SHOWN)
    time = np.sort(random.integers(0, days * DAY, requests)).repeat(SHOWN) + START
    columns = {
        "user": pa.array(user).cast(pa.string()),
        "item": random.zipf(1.2, len(user)) % ITEMS,
        "time": time,
        "click": (random.random(len(user)) < CLICKED).astype(np.int64),
    }
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table(columns), folder / "impressions.parquet", row_group_size=row_group
    )
    (folder / "schema.yaml").write_text(yaml.safe_dump(schema_of(days)))
    (folder / "key").write_bytes(KEY)


def prepare(
    folder: Path, rows: int, days: int = DAYS, row_group: int = ROW_GROUP
) -> None:
    """The log, its item index and its vocabularies."""
    write_log(folder, rows, days, row_group)
    schema, index = str(folder / "schema.yaml"), str(folder / "index")
    item_index.run(schema, index)
    vocabularies.run(schema, index, str(folder / "vocabularies"), str(folder / "key"))
