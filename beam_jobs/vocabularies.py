"""Counts training occurrences and decides what has an embedding of its own."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import common, log_shards
from beam_jobs.kernels import timelines
from beam_jobs.kernels.vocabularies import (
    ITEM,
    LONGEST,
    MOMENTS,
    TYPE,
    decide,
    user_features,
)
from tfmm.identity import key_check, read_secret
from tfmm.records.manifest import read_manifest
from tfmm.records.spec import squash
from tfmm.records.split import TRAIN
from tfmm.records.vocabularies import USER
from tfmm.schema import Schema

_CATALOGUE, _LETTERS = "catalogue", "dead letters"


def run(
    schema: str,
    index: str,
    output: str,
    key_file: str | None = None,
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
        for what, found in ((_CATALOGUE, read.chunks), (_LETTERS, read[common.DEAD])):
            parts.append(found | f"Name {what}" >> beam.Map(_named, what))
    _ = (
        parts
        | "All counts" >> beam.Flatten()
        | "Together" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(_Write(shop, index, output, key_check(secret)))
    )
    common.finished(pipeline)
    return read_manifest(output)


def _named(data: bytes | str, what: str) -> tuple[int, tuple[str, bytes]]:
    return 0, (what, data if isinstance(data, bytes) else data.encode())


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


class _Write(common.WithIndex):
    """Adds the shards' counts up, applies the minimum and writes the folder."""

    def __init__(self, schema: Schema, index: str, output: str, key: str) -> None:
        super().__init__(index)
        self._schema, self._output, self._key = schema, output, key

    def process(self, group: tuple[int, Iterable[tuple[str, bytes]]]) -> Iterator[None]:
        found: dict[str, list[bytes]] = {}
        for name, data in group[1]:
            found.setdefault(name, []).append(data)
        catalogue = common.joined(found.pop(_CATALOGUE, []))
        letters = [letter.decode() for letter in found.pop(_LETTERS, [])]
        totals = {name: _total(chunks) for name, chunks in found.items()}
        vocabularies, counts = decide(totals, catalogue, self.index, self._schema)
        letters = common.sorted_letters(letters)
        vocabularies.save(self._output, counts, letters, key_check=self._key)
        yield None


def _total(chunks: Iterable[bytes]) -> dict[str, float]:
    table = common.joined(chunks)
    assert table is not None
    summed = table.group_by("value").aggregate([("count", "sum")])
    pairs = zip(
        summed["value"].to_pylist(), summed["count_sum"].to_pylist(), strict=True
    )
    return dict(sorted(pairs))


def _arguments() -> Any:
    arguments = common.parser(__doc__)
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument("--output", required=True, help="folder to write")
    arguments.add_argument("--key_file", help="file of the user hash key")
    return arguments


if __name__ == "__main__":
    common.main(_arguments(), run)
