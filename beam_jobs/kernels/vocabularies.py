"""From training counts to codes, embedding rows and the request's sizes."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfmm.records.index import ItemIndex
from tfmm.records.spec import FIRST_CODE, Feature, RequestSpec, squash
from tfmm.records.vocabularies import USER, ItemTable, Vocabularies, codes_of
from tfmm.schema import Kind, Schema

ITEM, TYPE, LONGEST = "item", "event type", "longest request"
MOMENTS = ("count", "sum", "squares")
LEAST_DEVIATION = 1e-6


def decide(
    totals: dict[str, dict[str, float]],
    catalogue: pa.Table | None,
    index: ItemIndex,
    schema: Schema,
) -> tuple[Vocabularies, dict[str, Any]]:
    """Applies the minimum count to what all shards counted.

    Args:
        totals: What was counted (`ITEM`, `TYPE`, `LONGEST`, `"user"` or a feature's
            tensor) -> value -> training occurrences; of a numeric feature, `MOMENTS`.
        catalogue: Columns `id`, `source` and the item features; `None` without.
        index: The item index; `ITEM` counts its rows.
        schema: The schema.

    Returns:
        The vocabularies, and the counts for their manifest.
    """
    least = schema.vocabulary.min_count
    train_count = np.zeros(index.rows, np.int64)
    for row, count in totals.get(ITEM, {}).items():
        train_count[int(row)] = count
    frequent = np.flatnonzero(train_count >= least)
    frequent = frequent[frequent >= FIRST_CODE]
    embedding_row = np.ones(index.rows, np.int32)
    embedding_row[0] = 0
    embedding_row[frequent] = np.arange(len(frequent)) + FIRST_CODE

    values = {USER: _frequent(totals.get(USER, {}), least)}
    for scope, declared in (
        ("user", user_features(schema)),
        ("context", schema.impressions.context),
        ("candidate", schema.impressions.features),
    ):
        for name, kind in declared.items():
            if kind == "categorical":
                tensor = f"{scope}_{name}"
                values[tensor] = _frequent(totals.get(tensor, {}), least)
    item_values, codes, numbers = _item_features(catalogue, index, train_count, schema)
    values |= item_values
    moments = totals | _item_moments(numbers, train_count, schema)
    spec = RequestSpec(
        users=len(values[USER]) + FIRST_CODE,
        items=len(frequent) + FIRST_CODE,
        rows=index.rows,
        features=_features(schema, values, moments),
        event_types=tuple(totals.get(TYPE, {})),
        labels=tuple(schema.impressions.labels),
        max_history=schema.history.max_length,
        max_items=max([1, *map(int, totals.get(LONGEST, {}))]),
        position=schema.impressions.position is not None,
        base_score=schema.impressions.base_score is not None,
        weight=schema.requests.negative_rate < 1,
    )
    table = ItemTable(embedding_row, codes, numbers, train_count)
    counts = {
        "read": index.rows - FIRST_CODE,
        "written": len(frequent),
        "dropped": {"under_min_count": index.rows - FIRST_CODE - len(frequent)},
    }
    return Vocabularies(values, table, spec, index.stamp()), counts


def _frequent(counts: dict[str, float], least: int) -> list[str]:
    return [value for value, count in counts.items() if count >= least]


def _features(
    schema: Schema,
    values: dict[str, list[str]],
    moments: dict[str, dict[str, float]],
) -> tuple[Feature, ...]:
    declared = (
        ("user", user_features(schema)),
        ("context", schema.impressions.context),
        ("candidate", schema.impressions.features),
        ("item", schema.items.features if schema.items else {}),
    )
    return tuple(
        _categorical(name, scope, values[f"{scope}_{name}"], schema)
        if kind == "categorical"
        else Feature(name, kind, scope, 0, *_spread(moments.get(f"{scope}_{name}")))
        for scope, features in declared
        for name, kind in features.items()
    )


def _categorical(name: str, scope: str, values: list[str], schema: Schema) -> Feature:
    hashed = schema.vocabulary.hash_buckets
    size = FIRST_CODE + len(values) + hashed
    return Feature(name, "categorical", scope, size, hash_buckets=hashed)


def _spread(moments: dict[str, float] | None) -> tuple[float, float]:
    """Mean and deviation; rounded, so that the order of a sum never shows."""
    if not moments or not moments["count"]:
        return 0.0, 1.0
    mean = moments["sum"] / moments["count"]
    variance = moments["squares"] / moments["count"] - mean**2
    deviation = float(f"{max(variance, 0.0) ** 0.5:.5g}")
    return float(f"{mean:.5g}"), deviation if deviation > LEAST_DEVIATION else 1.0


def _item_moments(
    numbers: np.ndarray, train_count: np.ndarray, schema: Schema
) -> dict[str, dict[str, float]]:
    """`MOMENTS` of numeric item features; an item counts as often as in training."""
    declared = schema.items.features if schema.items else {}
    names = [name for name, kind in declared.items() if kind == "numeric"]
    squashed = squash(numbers)
    columns = zip(names, squashed.T, strict=False)
    return {
        f"item_{name}": {
            "count": float(train_count.sum()),
            "sum": float(train_count @ column),
            "squares": float(train_count @ column**2),
        }
        for name, column in columns
    }


def _item_features(
    catalogue: pa.Table | None,
    index: ItemIndex,
    train_count: np.ndarray,
    schema: Schema,
) -> tuple[dict[str, list[str]], np.ndarray, np.ndarray]:
    """Values, codes `[rows, F]` and numbers `[rows, G]` of item features.

    A value counts as often as its items occur in training.
    """
    declared = schema.items.features if schema.items and catalogue is not None else {}
    values: dict[str, list[str]] = {}
    columns: dict[str, list[np.ndarray]] = {"categorical": [], "numeric": []}
    if catalogue is not None:
        catalogue, rows = _known_once(catalogue, index)
    for name, kind in declared.items():
        assert catalogue is not None
        raw = catalogue[f"features:{name}"].combine_chunks()
        if kind == "numeric":
            column = np.zeros(index.rows, np.float32)
            column[rows] = pc.fill_null(raw, 0.0).to_numpy()
        else:
            weight = pa.table({"value": raw, "count": train_count[rows]})
            weight = weight.group_by("value").aggregate([("count", "sum")])
            counts = dict(zip(*(c.to_pylist() for c in weight.columns), strict=True))
            known = {k: v for k, v in counts.items() if k}
            values[f"item_{name}"] = _frequent(
                dict(sorted(known.items())), schema.vocabulary.min_count
            )
            column = np.zeros(index.rows, np.int32)
            column[rows] = codes_of(
                values[f"item_{name}"], raw, schema.vocabulary.hash_buckets
            )
        columns[kind].append(column)
    stacked = {
        kind: np.stack(found, 1) if found else np.zeros((index.rows, 0), dtype)
        for (kind, found), dtype in zip(
            columns.items(), (np.int32, np.float32), strict=True
        )
    }
    return values, stacked["categorical"], stacked["numeric"]


def _known_once(catalogue: pa.Table, index: ItemIndex) -> tuple[pa.Table, np.ndarray]:
    """The first row of every item that the index knows, as in the item records."""
    catalogue = catalogue.sort_by([("source", "ascending")])
    rows, first = np.unique(index.rows_of(catalogue["id"]), return_index=True)
    known = rows >= FIRST_CODE
    return catalogue.take(pa.array(first[known])), rows[known]


def user_features(schema: Schema) -> dict[str, Kind]:
    """The declared features of users."""
    return schema.users.features if schema.users else {}
