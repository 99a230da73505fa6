"""What is known of a simulated marketplace and of no real one: the true scores."""

import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest
from tfmm.records.split import SPLITS, global_time
from tfmm.schema import GlobalTime, Schema

KIND = "marketplace"


def best_scores(folder: str | Path, split: str = "test") -> dict[str, np.ndarray]:
    """The true click probabilities: no model can score better than these.

    Args:
        folder: A folder that `generate` wrote.
        split: `"train"`, `"validation"`, `"test"` or `"all"`.

    Returns:
        Arrays over the impressions of the split, in the table's order: `user` and
        `item` (raw ids), `time` (int64, seconds), `label` (float32, the click) and
        `score` (float64, its true probability).

    Raises:
        TfmmError: If the folder is not a marketplace or there is no such split.
    """
    if split not in (*SPLITS, "all"):
        raise TfmmError(
            f"There is no such split. Received: split={split!r}. "
            f"Choose one of {', '.join(SPLITS)}, all."
        )
    folder = Path(folder)
    read_manifest(folder, kind=KIND)
    rule = Schema.from_yaml(folder / "schema.yaml").split
    columns = ["user_id", "item_id", "time", "click"]
    table = pq.read_table(folder / "impressions.parquet", columns=columns)
    truth = pq.read_table(folder / "truth.parquet")
    result = {
        "user": table["user_id"].to_numpy(),
        "item": table["item_id"].to_numpy(),
        "time": table["time"].to_numpy(),
        "label": table["click"].to_numpy().astype(np.float32),
        "score": truth["probability"].to_numpy(),
    }
    if split == "all":
        return result
    assert isinstance(rule, GlobalTime)
    assert rule.validation_from is not None
    starts = _seconds(rule.validation_from), _seconds(rule.test_from)
    part = global_time(result["time"], *starts) == SPLITS.index(split)
    return {name: values[part] for name, values in result.items()}


def _seconds(moment: datetime.datetime | int) -> int:
    """An integer moment as it is; a date without a zone is UTC."""
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp())
