"""Counts training occurrences and decides what has an embedding of its own."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import chunks as chunked
from beam_jobs import command, files, log_shards
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.kernels import timelines
from beam_jobs.kernels.vocabularies import (
    ITEM,
    LONGEST,
    MOMENTS,
    TYPE,
    decide,
    user_features,
)
from beam_jobs.read_table import ReadTable
from beam_jobs.user_key import UserKey
from beam_jobs.work import PACKS, Work
from tfmm.records.index import ItemIndex
from tfmm.records.spec import squash
from tfmm.records.split import TRAIN
from tfmm.records.vocabularies import USER
from tfmm.schema import Schema

_CATALOGUE, _TOTALS = "catalogue", "totals"


def run(
    schema: str,
    index: str,
    output: str,
    key_file: str | None = None,
    control: Control = DEFAULT,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes the vocabularies; returns their manifest.

    Only training requests and events count, by the schema's split rule. An item counts
    once for every impression, clicked or not, and once for every further event, so that
    the minimum never depends on the label.

    Args:
        schema: Path of the schema file.
        index: Folder of the item index.
        output: Folder of the vocabularies.
        key_file: File of the user hash key, which workers must reach; the variable
            `TFMM_USER_KEY` of every process otherwise.
        control: How the job runs.
        pipeline_args: Flags for Beam.
    """
    files.use_flags(pipeline_args)
    shop = Schema.from_yaml(schema)
    items = ItemIndex.open(files.fetched(index))
    key = UserKey.of(key_file)
    has_features = shop.items is not None and shop.items.features
    job = Job(
        "vocabularies",
        output,
        schema=shop,
        tables=[*log_shards.tables_of(shop), *(["items"] if has_features else [])],
        folders=[index],
        arguments={"key": key.check},
        control=control,
        pipeline_args=pipeline_args,
        row_bytes=log_shards.ROW_BYTES,
    )
    if job.said():
        return {}
    with job.running() as running:
        work = running.work
        logs = running.pipeline | log_shards.ReadLogs(shop, index, key, work)
        parts = [logs | "Count" >> beam.ParDo(_Count(shop))]
        if has_features:
            read = running.pipeline | ReadTable(shop, "items", work, _item_roles(shop))
            parts.append(read | "Catalogue" >> beam.Map(_of_catalogue))
        _ = (
            parts
            | "All counts" >> beam.Flatten()
            | "Together" >> beam.GroupByKey()
            | "Total" >> beam.ParDo(_Total(work))
        )
        running.finish()
        with running.saving() as folder:
            totals, catalogue = _found(work)
            vocabularies, counts = decide(totals, catalogue, items, shop)
            vocabularies.save(folder, counts, key_check=key.check)
        return running.manifest()


def _of_catalogue(data: bytes) -> tuple[int, tuple[str, bytes]]:
    return 0, (_CATALOGUE, data)


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
        logs = log_shards.together(group[1], self._schema)
        types = log_shards.types_of(logs, self._schema)
        shard = log_shards.load(logs, self._schema, types)
        for name, values, counts in _counts(shard, types, self._schema):
            if len(values):
                table = pa.table({"value": values, "count": counts})
                yield 0, (name, chunked.to_bytes(table))


def _counts(
    shard: log_shards.LogShard, types: tuple[str, ...], schema: Schema
) -> Iterator[tuple[str, pa.Array, np.ndarray]]:
    requests, events = shard.requests, shard.events
    sizes = np.diff(requests.first)
    yield TYPE, pa.array(types, pa.string()), np.ones(len(types), np.int64)
    longest = int(sizes.max()) if len(sizes) else 0
    yield LONGEST, pa.array([str(longest)]), np.ones(1, np.int64)

    train = requests.part == TRAIN
    shown = requests.impressions.filter(pa.array(np.repeat(train, sizes)))
    firsts = requests.impressions.take(pa.array(requests.first[:-1][train]))
    behaved = events.logged & timelines.in_training(events, requests, schema)
    items = np.concatenate([shown["item"].to_numpy(), events.item[behaved]])
    yield ITEM, *_tally(pa.array(items))
    yield USER, *_tally(pa.array(np.repeat(requests.user, sizes * train)))
    for scope, table, role, features in (
        ("context", firsts, "context", schema.impressions.context),
        ("candidate", shown, "features", schema.impressions.features),
        ("user", _train_users(shard, train), "features", user_features(schema)),
    ):
        for name, kind in features.items():
            if table is not None:
                count = _tally if kind == "categorical" else _moments
                yield f"{scope}_{name}", *count(table[f"{role}:{name}"])


def _train_users(shard: log_shards.LogShard, train: np.ndarray) -> pa.Table | None:
    if shard.users is None:
        return None
    active = pa.array(np.unique(shard.requests.user[train]))
    return shard.users.filter(pc.is_in(shard.users["user"], value_set=active))


def _tally(values: Any) -> tuple[pa.Array, np.ndarray]:
    """Distinct non-empty values as text, and how often each occurs."""
    counts = pc.value_counts(values)
    text = pc.cast(counts.field("values"), pa.string())
    good = pc.fill_null(pc.not_equal(text, ""), False)
    return text.filter(good), counts.field("counts").filter(good).to_numpy()


def _moments(numbers: Any) -> tuple[pa.Array, np.ndarray]:
    """Count, sum and sum of squares of the squashed numbers, missing ones as 0."""
    squashed = squash(pc.fill_null(numbers, 0.0).to_numpy())
    sums = [len(squashed), squashed.sum(), (squashed**2).sum()]
    return pa.array(MOMENTS), np.array(sums, np.float64)


class _Total(beam.DoFn):
    """Adds the shards' counts up, and keeps them where the launcher decides."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def process(self, group: tuple[int, Iterable[tuple[str, bytes]]]) -> Iterator[None]:
        found: dict[str, list[bytes]] = {}
        for name, data in group[1]:
            found.setdefault(name, []).append(data)
        catalogue = chunked.joined(found.pop(_CATALOGUE, []))
        totals = [_total(name, chunks) for name, chunks in sorted(found.items())]
        with self._work.unit("totals") as unit:
            unit.write(_TOTALS, [chunked.to_bytes(pa.concat_tables(totals))], PACKS)
            if catalogue is not None:
                unit.write(_CATALOGUE, [chunked.to_bytes(catalogue)], PACKS)
        yield None


def _total(name: str, chunks: Iterable[bytes]) -> pa.Table:
    """Columns `name`, `value` and `count`, a row for every value in its order."""
    table = chunked.joined(chunks)
    assert table is not None
    counts = table["count"].cast(pa.float64())
    table = table.set_column(table.column_names.index("count"), "count", counts)
    summed = table.group_by("value").aggregate([("count", "sum")])
    summed = summed.sort_by("value").rename_columns({"count_sum": "count"})
    names = pa.array([name] * summed.num_rows, pa.string())
    return summed.select(["value", "count"]).append_column("name", names)


def _found(work: Work) -> tuple[dict[str, dict[str, float]], pa.Table | None]:
    """What `_Total` wrote: name -> value -> count, and the catalogue."""
    totals: dict[str, dict[str, float]] = {}
    table = chunked.to_table(files.read(work.path(PACKS, _TOTALS)))
    rows = zip(*(table[x].to_pylist() for x in ("name", "value", "count")), strict=True)
    for name, value, amount in rows:
        totals.setdefault(name, {})[value] = amount
    path = work.path(PACKS, _CATALOGUE)
    catalogue = chunked.to_table(files.read(path)) if files.facts(path) else None
    return totals, catalogue


def _arguments() -> Any:
    arguments = command.parser(
        __doc__,
        name="vocabularies",
        reads="impressions, events and users of the schema; the item index",
        writes="which users, items, event types and feature values have an "
        "embedding of their own, by how often training has them",
        example="--schema shop.yaml --index out/index --output out/vocabularies",
    )
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument("--output", required=True, help="folder to write")
    arguments.add_argument(
        "--key_file",
        help="file of the user hash key; the variable TFMM_USER_KEY when absent",
    )
    return arguments


def _said(manifest: dict[str, Any]) -> str:
    counts = manifest["counts"]
    return (
        f"vocabularies: {counts['written']:,} of {counts['read']:,} items have an "
        "embedding of their own. Next: python -m beam_jobs.behaviours"
    )


if __name__ == "__main__":
    command.main(_arguments(), run, _said)
