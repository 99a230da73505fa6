"""The logs, users hashed, grouped so that one shard has a user's whole log."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import chunks as chunked
from beam_jobs.counters import count
from beam_jobs.kernels import timelines
from beam_jobs.kernels.hashes import keyed
from beam_jobs.kernels.ordering import changes
from beam_jobs.kernels.timelines import LogShard
from beam_jobs.read_table import ReadTable
from beam_jobs.stretch import EVERYTHING, Stretch
from beam_jobs.user_key import UserKey
from beam_jobs.with_index import WithIndex
from beam_jobs.work import Work
from tfmm.schema import Schema

TABLES = ("impressions", "events", "users")
DEFAULT_TYPE = "view"
# Keeps the group of a shard without users, so that every shard has its files.
_SEED = ""
# Memory per row of the logs on one machine, as benchmarks.beam_jobs measures it.
ROW_BYTES = 200


class ReadLogs(beam.PTransform):
    """All logs -> `(shard, [(table, ipc)])`, of the shards that are left to do.

    Args:
        schema: The schema.
        index: Folder of the item index.
        key: Key of the user hashes.
        work: The job's work.
        stretch: The days to read.
    """

    def __init__(
        self,
        schema: Schema,
        index: str | Path,
        key: UserKey,
        work: Work,
        stretch: Stretch = EVERYTHING,
    ) -> None:
        super().__init__()
        self._stretch = stretch
        self._schema, self._index, self._key = schema, index, key
        self._work = work

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Reads, hashes and groups."""
        placed = [
            begin
            | ReadTable(self._schema, name, self._work, stretch=self._stretch)
            | f"Hash {name}"
            >> beam.ParDo(_Place(name, self._index, self._key, self._work))
            for name in tables_of(self._schema)
        ]
        seeds = [(shard, (_SEED, b"")) for shard in self._work.left()]
        placed.append(
            begin
            | "Seeds"
            >> beam.Create(seeds).with_output_types(tuple[int, tuple[str, bytes]])
        )
        return placed | "All logs" >> beam.Flatten() | "By user" >> beam.GroupByKey()


def tables_of(schema: Schema) -> list[str]:
    """The logs that a schema has."""
    return [name for name in TABLES if getattr(schema, name) is not None]


class _Place(WithIndex):
    """Chunks -> (shard, (table, ipc)) with hashed users and catalog rows."""

    def __init__(self, name: str, index: str | Path, key: UserKey, work: Work) -> None:
        super().__init__(index)
        self._name, self._key = name, key
        self._shards, self._left = work.shards, frozenset(work.left())

    def setup(self) -> None:
        """Opens the index, reads the key."""
        super().setup()
        self._secret = self._key.read()

    def process(self, chunk: bytes) -> Iterator[tuple[int, tuple[str, bytes]]]:
        table = chunked.to_table(chunk)
        role = "id" if self._name == "users" else "user"
        table = self._hashed(table, role, "user")
        keys = table["user"].to_numpy()
        if self._name != "users":  # Their first row counts, whatever is in it.
            table = table.drop_columns("source")
        if "request" in table.column_names:
            table = self._hashed(table, "request")
        if "item" in table.column_names:
            rows = self.index.rows_of(table["item"])
            table = table.drop_columns("item").append_column("item", pa.array(rows))
        for shard, part in chunked.by_shard(table, keys, self._shards):
            if shard in self._left:
                yield shard, (self._name, chunked.to_bytes(part, "lz4"))

    def _hashed(self, table: pa.Table, role: str, name: str = "") -> pa.Table:
        """The table with keyed hashes in the place of a column of ids."""
        hashed = pa.array(keyed(table[role], self._secret))
        return table.drop_columns(role).append_column(name or role, hashed)


@dataclasses.dataclass(frozen=True)
class Tables:
    """A shard's logs, users hashed and items as catalog rows.

    Args:
        impressions: The impressions.
        events: The events with their types; `None` without.
        users: The users' features, one row a user; `None` without.
    """

    impressions: pa.Table
    events: pa.Table | None
    users: pa.Table | None


def together(chunks: Iterable[tuple[str, bytes]], schema: Schema) -> Tables:
    """A shard's chunks as tables.

    Args:
        chunks: What `ReadLogs` grouped for one shard.
        schema: The schema.
    """
    found: dict[str, list[bytes]] = {name: [] for name in (*TABLES, _SEED)}
    for name, data in chunks:
        found[name].append(data)
    impressions = chunked.joined(found["impressions"])
    if impressions is None:
        impressions = _empty_impressions(schema)
    events = chunked.joined(found["events"])
    return Tables(
        impressions,
        None if events is None else _with_types(events),
        _once(chunked.joined(found["users"])),
    )


def types_of(shard: Tables, schema: Schema) -> tuple[str, ...]:
    """The types of a shard's events."""
    seen = shard.events["type"].unique().to_pylist() if shard.events else []
    return timelines.event_types(schema, set(seen))


def load(shard: Tables, schema: Schema, types: tuple[str, ...]) -> LogShard:
    """A shard's requests and events.

    Args:
        shard: Its logs.
        schema: The schema.
        types: All event types.
    """
    return LogShard(
        timelines.requests_of(shard.impressions, schema),
        timelines.events_of(shard.impressions, shard.events, schema, types),
        shard.users,
    )


def _with_types(events: pa.Table) -> pa.Table:
    if "type" not in events.column_names:
        kinds = pa.array([DEFAULT_TYPE] * events.num_rows)
        return events.append_column("type", kinds)
    filled = pc.fill_null(events["type"], DEFAULT_TYPE)
    return events.set_column(events.column_names.index("type"), "type", filled)


def _once(users: pa.Table | None) -> pa.Table | None:
    """The first row of every user."""
    if users is None:
        return None
    users = users.sort_by([("user", "ascending"), ("source", "ascending")])
    keys = users["user"].to_numpy()
    first = changes(keys)
    count("users:dropped:repeated_id", int((~first).sum()))
    return users.filter(pa.array(first))


def _empty_impressions(schema: Schema) -> pa.Table:
    kinds = {"number": pa.float64(), "text": pa.string(), "id": pa.string()}
    columns = {
        role: kinds.get(kind, pa.int64())
        for role, (_, kind, _) in schema.impressions.columns().items()
    } | {"user": pa.int64(), "item": pa.int32()}
    if schema.impressions.request:
        columns["request"] = pa.int64()
    return pa.schema(columns.items()).empty_table()
