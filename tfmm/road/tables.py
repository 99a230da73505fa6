"""What it costs to store a ranker's embedding tables in fewer bytes."""

from typing import Any

import numpy as np
from rich.table import Table

from tfmm.evaluation import auc, collect, gauc, log_loss
from tfmm.layers import rounded_tables
from tfmm.road.requests import requests_of_the_test
from tfmm.road.road import Road

Quality = dict[str, float]


def price_of_tables(
    road: Road, ranker: Any, vocabularies: Any
) -> dict[str, Quality] | None:
    """Compares the rounded ranker with the trained one on the test requests; prints it.

    Args:
        road: The run, whose recipe names the storage.
        ranker: The ranker that is exported.
        vocabularies: Its vocabularies.

    Returns:
        By storage (`float32` and the recipe's): GAUC, AUC and LogLoss, and the largest
        difference of a probability to the trained ranker's. None where the tables stay
        as they are.
    """
    storage = road.recipe.export.tables
    if storage == "float32":
        return None
    requests = requests_of_the_test(road, vocabularies)
    found = qualities(ranker, requests, ("float32", storage))
    table = Table("tables", *next(iter(found.values())), title="on the test requests")
    for name, quality in found.items():
        table.add_row(name, *(f"{value:.5f}" for value in quality.values()))
    road.console.print(table)
    return found


def qualities(
    ranker: Any, requests: Any, storages: tuple[str, ...]
) -> dict[str, Quality]:
    """What a ranker is worth with its tables stored in several ways.

    Args:
        ranker: A trained ranker; it stays as it is.
        requests: Labelled request batches, read once per storage.
        storages: As `rounded_tables` takes them, the one to compare with first.
    """
    found: dict[str, Quality] = {}
    first: Any = None
    for storage in storages:
        with rounded_tables(ranker, storage):
            rows = collect(ranker, requests)
        first = rows.probability if first is None else first
        found[storage] = {
            "gauc": gauc(rows.user_key, rows.label, rows.probability).value,
            "auc": auc(rows.label, rows.probability),
            "log_loss": log_loss(rows.label, rows.probability),
            "largest_difference": float(np.abs(rows.probability - first).max()),
        }
    return found
