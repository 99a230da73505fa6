"""Counts training occurrences and decides what has an embedding of its own."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import common, log_shards
from beam_jobs.kernels import timelines
from tfmm.identity import read_secret
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.records.spec import FIRST_CODE, Feature, RequestSpec
from tfmm.records.split import TRAIN
from tfmm.records.vocabularies import USER, ItemTable, Vocabularies, codes_of
from tfmm.schema import Kind, Schema

_ITEM, _TYPE, _LONGEST = "item", "event type", "longest request"
_CATALOGUE = "catalogue"


def run(
    schema: str,
    index: str,
    output: str,
    key_file: str | None = None,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes the vocabularies; returns their manifest.

    Only training requests and events count, by the schema's split rule.

    Args:
        schema: Path of the schema file.
        index: Folder of the item index.
        output: Folder of the vocabularies.
        key_file: File of the user hash key; the variable `TFMM_USER_KEY` otherwise.
        pipeline_args: Flags for Beam.
    """
    shop = Schema.from_yaml(schema)
    secret = read_secret(key_file)
    pipeline = beam.Pipeline(options=common.options(pipeline_args))
    logs, _ = pipeline | log_shards.ReadLogs(shop, index, secret)
    counted = logs | "Count" >> beam.ParDo(_Count(shop))
    parts = [counted]
    if shop.items is not None and shop.items.features:
        read = pipeline | common.ReadTable(shop, "items", _item_roles(shop))
        parts.append(
            read.chunks
            | "Name items" >> beam.Map(lambda chunk: (0, (_CATALOGUE, chunk)))
        )
    _ = (
        parts
        | "All counts" >> beam.Flatten()
        | "Together" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(_Write(shop, index, output))
    )
    pipeline.run().wait_until_finish()
    return read_manifest(output)


def _item_roles(schema: Schema) -> list[str]:
    assert schema.items is not None
    return ["id", *(f"features:{name}" for name in schema.items.features)]


class _Count(beam.DoFn):
    """A shard's log -> (0, (what, values and counts))."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def process(
        self, group: tuple[int, Iterable[tuple[str, bytes]]]
    ) -> Iterator[tuple[int, tuple[str, bytes]]]:
        shard, types = log_shards.load(group[1], self._schema, None)
        for name, values, counts in _counts(shard, types, self._schema):
            if len(values):
                table = pa.table({"value": values, "count": counts})
                yield 0, (name, common.to_bytes(table))


def _counts(
    shard: log_shards.LogShard, types: tuple[str, ...], schema: Schema
) -> Iterator[tuple[str, pa.Array, np.ndarray]]:
    requests, events = shard.requests, shard.events
    sizes = np.diff(requests.first)
    yield _TYPE, pa.array(types, pa.string()), np.ones(len(types), np.int64)
    longest = int(sizes.max()) if len(sizes) else 0
    yield _LONGEST, pa.array([str(longest)]), np.ones(1, np.int64)

    train = requests.part == TRAIN
    shown = requests.impressions.filter(pa.array(np.repeat(train, sizes)))
    firsts = requests.impressions.take(pa.array(requests.first[:-1][train]))
    behaved = events.item[timelines.in_training(events, requests, schema)]
    items = np.concatenate([shown["item"].to_numpy(), behaved])
    yield _ITEM, *_tally(pa.array(items))
    yield USER, *_tally(pa.array(np.repeat(requests.user, sizes * train)))
    for scope, table, role, features in (
        ("context", firsts, "context", schema.impressions.context),
        ("candidate", shown, "features", schema.impressions.features),
        ("user", _train_users(shard, train), "features", _user_features(schema)),
    ):
        for name, kind in features.items():
            if kind == "categorical" and table is not None:
                yield f"{scope}_{name}", *_tally(table[f"{role}:{name}"])


def _train_users(shard: log_shards.LogShard, train: np.ndarray) -> pa.Table | None:
    if shard.users is None:
        return None
    active = pa.array(np.unique(shard.requests.user[train]))
    return shard.users.filter(pc.is_in(shard.users["user"], value_set=active))


def _user_features(schema: Schema) -> dict[str, Kind]:
    return schema.users.features if schema.users else {}


def _tally(values: Any) -> tuple[pa.Array, np.ndarray]:
    """Distinct non-empty values as text, and how often each occurs."""
    counts = pc.value_counts(values)
    text = pc.cast(counts.field("values"), pa.string())
    good = pc.fill_null(pc.not_equal(text, ""), False)
    return text.filter(good), counts.field("counts").filter(good).to_numpy()


class _Write(common.WithIndex):
    """Adds the shards' counts up, applies the minimum and writes the folder."""

    def __init__(self, schema: Schema, index: str, output: str) -> None:
        super().__init__(index)
        self._schema, self._output = schema, output

    def process(self, group: tuple[int, Iterable[tuple[str, bytes]]]) -> Iterator[None]:
        found: dict[str, list[bytes]] = {}
        for name, data in group[1]:
            found.setdefault(name, []).append(data)
        catalogue = common.joined(found.pop(_CATALOGUE, []))
        totals = {name: _total(chunks) for name, chunks in found.items()}
        vocabularies, counts = _decide(totals, catalogue, self.index, self._schema)
        vocabularies.save(self._output, counts)
        yield None


def _total(chunks: Iterable[bytes]) -> dict[str, int]:
    table = common.joined(chunks)
    assert table is not None
    summed = table.group_by("value").aggregate([("count", "sum")])
    pairs = zip(
        summed["value"].to_pylist(), summed["count_sum"].to_pylist(), strict=True
    )
    return dict(sorted(pairs))


def _decide(
    totals: dict[str, dict[str, int]],
    catalogue: pa.Table | None,
    index: ItemIndex,
    schema: Schema,
) -> tuple[Vocabularies, dict[str, Any]]:
    least = schema.vocabulary.min_count
    train_count = np.zeros(index.rows, np.int64)
    for row, count in totals.get(_ITEM, {}).items():
        train_count[int(row)] = count
    frequent = np.flatnonzero(train_count >= least)
    frequent = frequent[frequent >= FIRST_CODE]
    embedding_row = np.ones(index.rows, np.int32)
    embedding_row[0] = 0
    embedding_row[frequent] = np.arange(len(frequent)) + FIRST_CODE

    values = {USER: _frequent(totals.get(USER, {}), least)}
    for scope, declared in (
        ("user", _user_features(schema)),
        ("context", schema.impressions.context),
        ("candidate", schema.impressions.features),
    ):
        for name, kind in declared.items():
            if kind == "categorical":
                tensor = f"{scope}_{name}"
                values[tensor] = _frequent(totals.get(tensor, {}), least)
    item_values, codes, numbers = _item_features(catalogue, index, train_count, schema)
    values |= item_values
    spec = RequestSpec(
        users=len(values[USER]) + FIRST_CODE,
        items=len(frequent) + FIRST_CODE,
        rows=index.rows,
        features=_features(schema, values),
        event_types=tuple(totals.get(_TYPE, {})),
        labels=tuple(schema.impressions.labels),
        max_history=schema.history.max_length,
        max_items=max([1, *map(int, totals.get(_LONGEST, {}))]),
        position=schema.impressions.position is not None,
        base_score=schema.impressions.base_score is not None,
    )
    table = ItemTable(embedding_row, codes, numbers, train_count)
    counts = {
        "read": index.rows - FIRST_CODE,
        "written": len(frequent),
        "dropped": {"under_min_count": index.rows - FIRST_CODE - len(frequent)},
    }
    return Vocabularies(values, table, spec, index.stamp()), counts


def _frequent(counts: dict[str, int], least: int) -> list[str]:
    return [value for value, count in counts.items() if count >= least]


def _features(schema: Schema, values: dict[str, list[str]]) -> tuple[Feature, ...]:
    declared = (
        ("user", _user_features(schema)),
        ("context", schema.impressions.context),
        ("candidate", schema.impressions.features),
        ("item", schema.items.features if schema.items else {}),
    )
    return tuple(
        Feature(
            name,
            kind,
            scope,
            len(values[f"{scope}_{name}"]) + FIRST_CODE if kind == "categorical" else 0,
        )
        for scope, features in declared
        for name, kind in features.items()
    )


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
        # The first row of a repeated id counts, as in the item records.
        catalogue = catalogue.sort_by([("source", "descending")])
        rows = index.rows_of(catalogue["id"])
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
            column[rows] = codes_of(values[f"item_{name}"], raw)
        columns[kind].append(column)
    stacked = {
        kind: np.stack(found, 1) if found else np.zeros((index.rows, 0), dtype)
        for (kind, found), dtype in zip(
            columns.items(), (np.int32, np.float32), strict=True
        )
    }
    return values, stacked["categorical"], stacked["numeric"]


def _arguments() -> Any:
    arguments = common.parser(__doc__)
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument("--output", required=True, help="folder to write")
    arguments.add_argument("--key_file", help="file of the user hash key")
    return arguments


if __name__ == "__main__":
    common.main(_arguments(), run)
