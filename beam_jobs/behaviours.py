"""Turns impressions and events into timelines with requests as cut positions."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import command, files, log_shards, split_check
from beam_jobs.counters import count, table_counts
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.kernels import histories, negatives, timelines
from beam_jobs.work import Unit, Work, file_name, shard_key
from tfmm.errors import TfmmError
from tfmm.identity import key_check, read_secret, require_key
from tfmm.records.example import Value, encode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.records.spec import RequestSpec
from tfmm.records.split import SPLITS
from tfmm.records.tfrecord import framed
from tfmm.records.timeline import KIND, TEXT, Column, columns
from tfmm.records.vocabularies import Vocabularies
from tfmm.schema import Schema


def run(
    schema: str,
    index: str,
    vocabularies: str,
    output: str,
    key_file: str | None = None,
    control: Control = DEFAULT,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes `train`, `validation` and `test` timelines; returns their manifest.

    Args:
        schema: Path of the schema file.
        index: Folder of the item index.
        vocabularies: Folder of the vocabularies, for the request's spec.
        output: Folder of the timelines.
        key_file: File of the user hash key; the variable `TFMM_USER_KEY` otherwise.
        control: How the job runs.
        pipeline_args: Flags for Beam.

    Raises:
        TfmmError: If an input is missing, belongs to another index or has users of
            another key, or if training or the test has no request.
    """
    shop = Schema.from_yaml(schema)
    items = ItemIndex.open(files.fetched(index))
    known = files.fetched(vocabularies)
    spec = Vocabularies.open(known, items).spec
    if spec.weight != (shop.requests.negative_rate < 1):
        raise TfmmError(
            f"`{vocabularies}` were counted for requests with"
            f"{'' if spec.weight else 'out'} sampled negatives. Received: "
            f"negative_rate {shop.requests.negative_rate}. Run `vocabularies` again "
            "with this schema."
        )
    secret = read_secret(key_file)
    require_key(read_manifest(known).get("key_check"), secret, f"`{vocabularies}`")
    job = Job(
        "behaviours",
        output,
        schema=shop,
        tables=log_shards.tables_of(shop),
        folders=(index, vocabularies),
        arguments={"key": key_check(secret)},
        control=control,
        pipeline_args=pipeline_args,
        row_bytes=log_shards.ROW_BYTES,
    )
    if job.said():
        return {}
    with job.running() as running:
        work = running.work
        logs = running.pipeline | log_shards.ReadLogs(shop, index, secret, work)
        _ = logs | "Timelines" >> beam.ParDo(_WriteShard(shop, spec, work))
        found = running.finish()
        parts = {part: _part_counts(found, part) for part in SPLITS}
        split_check.require_requests(parts, shop)
        stamp = items.stamp()
        sets = {
            part: {
                "kind": KIND,
                "counts": parts[part],
                "index": stamp,
                "spec": spec.to_dict(),
            }
            for part in SPLITS
        }
        whole = {
            "kind": "timeline_sets",
            "counts": table_counts(found, "impressions"),
            "events": table_counts(found, "events"),
            "users": table_counts(found, "users"),
            "histories": table_counts(found, "histories"),
            "parts": parts,
            "index": stamp,
        }
        return running.commit({**sets, "": whole})


def _part_counts(found: dict[str, int], part: str) -> dict[str, int]:
    names = ("timelines", "requests", "impressions", "positives")
    counts = {name: found.get(f"{part}:{name}", 0) for name in names}
    return {"written": counts["impressions"], **counts}


class _WriteShard(beam.DoFn):
    def __init__(self, schema: Schema, spec: RequestSpec, work: Work) -> None:
        self._schema, self._spec, self._work = schema, spec, work

    def process(self, group: tuple[int, Iterable[tuple[str, bytes]]]) -> Iterator[None]:
        number, chunks = group
        with self._work.unit(shard_key(number)) as unit:
            self._write(unit, number, chunks)
        yield None

    def _write(
        self, unit: Unit, number: int, chunks: Iterable[tuple[str, bytes]]
    ) -> None:
        shard, _ = log_shards.load(chunks, self._schema, self._spec.event_types)
        count("impressions:dropped:request_too_long", shard.requests.cut)
        shard = self._sampled(shard)
        count("events:dropped:repeated", shard.events.repeated)
        lag = int(self._schema.history.lag_seconds * 1_000_000)
        spans = histories.cuts(shard.requests, shard.events, lag)
        starts, unused = histories.newest(
            shard.requests, shard.events, spans, self._spec.max_history
        )
        count("histories:read", len(shard.events.user))
        for reason, amount in unused.items():
            count(f"histories:dropped:{reason}", amount)
        for code, part in timelines.part_names():
            chosen = np.flatnonzero(shard.requests.part == code)
            records = list(
                _records(shard, chosen, (starts, spans[1]), self._spec, part)
            )
            name = file_name("timelines", number, self._work.shards)
            unit.write(f"{part}/{name}", map(framed, records))
            count(f"{part}:timelines", len(records))

    def _sampled(self, shard: log_shards.LogShard) -> log_shards.LogShard:
        if not self._spec.weight:
            return shard
        shown = shard.requests.impressions.num_rows
        rate = self._schema.requests.negative_rate
        requests = negatives.sampled(shard.requests, self._spec.labels, rate)
        left_out = shown - requests.impressions.num_rows
        count("impressions:dropped:sampled_out", left_out)
        return dataclasses.replace(shard, requests=requests)


def _records(
    shard: log_shards.LogShard,
    chosen: np.ndarray,
    spans: tuple[np.ndarray, np.ndarray],
    spec: RequestSpec,
    part: str,
) -> Iterator[bytes]:
    """One record for every user with a chosen request."""
    requests, events = shard.requests, shard.events
    shown = _shown_columns(requests.impressions, spec)
    people = _user_columns(shard.users, spec)
    users, firsts = np.unique(requests.user[chosen], return_index=True)
    groups = np.split(chosen, firsts[1:]) if len(users) else []
    for user, own in zip(users.tolist(), groups, strict=True):
        starts = spans[0][own]
        first, last = int(starts.min()), int(spans[1][own].max())
        places = np.concatenate(
            [np.arange(requests.first[r], requests.first[r + 1]) for r in own]
        )
        record: dict[str, Value] = {
            "user": np.array([user]),
            "event_item": events.item[first:last],
            "event_type": events.type[first:last],
            "event_time": events.time[first:last],
            "request_time": requests.time[own],
            "request_start": starts - first,
            "request_cut": spans[1][own] - first,
            "request_items": np.diff(requests.first)[own],
        }
        for column in columns(spec):
            if column.per == "item":
                record[column.name] = _taken(shown[column.name], places)
            elif column.name not in record and column.per == "request":
                record[column.name] = _taken(
                    shown[column.name], requests.first[:-1][own]
                )
            elif column.name not in record and column.per == "user":
                record[column.name] = people(column, user)
        count(f"{part}:requests", len(own))
        count(f"{part}:impressions", len(places))
        count(
            f"{part}:positives",
            int(np.asarray(record[f"label_{spec.labels[0]}"]).sum()),
        )
        yield encode(record)


def _taken(values: np.ndarray | list[bytes], places: np.ndarray) -> Value:
    if isinstance(values, np.ndarray):
        return values[places]
    return [values[place] for place in places]


def _shown_columns(
    impressions: pa.Table, spec: RequestSpec
) -> dict[str, np.ndarray | list[bytes]]:
    """The columns of impressions by the names that records give them."""
    found = {}
    for column in columns(spec):
        if column.per == "item" or column.name.startswith("context_"):
            role = _role(column.name)
            found[column.name] = _values(impressions[role].combine_chunks(), column)
    return found


def _role(name: str) -> str:
    for prefix, role in (
        ("label_", "label:"),
        ("candidate_", "features:"),
        ("context_", "context:"),
    ):
        if name.startswith(prefix):
            return role + name.removeprefix(prefix)
    return name


def _values(values: pa.Array, column: Column) -> np.ndarray | list[bytes]:
    if column.type == TEXT:
        return [text.encode() for text in pc.fill_null(values, "").to_pylist()]
    kind = np.int64 if column.type == "int64" else np.float32
    # A score that was not logged is not a score of 0.
    missing = np.nan if column.name == "base_score" else 0
    return pc.fill_null(values, missing).to_numpy(zero_copy_only=False).astype(kind)


def _user_columns(users: pa.Table | None, spec: RequestSpec) -> Any:
    """A function from (column, user) to the user's value; missing is empty or 0."""
    place = (
        {}
        if users is None
        else {user: i for i, user in enumerate(users["user"].to_pylist())}
    )
    values = (
        {}
        if users is None
        else {
            feature.tensor: _values(
                users[f"features:{feature.name}"].combine_chunks(),
                Column(
                    feature.tensor,
                    "user",
                    TEXT if feature.kind == "categorical" else "float32",
                ),
            )
            for feature in spec.of_scope("user")
        }
    )

    def value(column: Column, user: int) -> Value:
        if user not in place:
            return [b""] if column.type == TEXT else np.zeros(1, np.float32)
        return _taken(values[column.name], np.array([place[user]]))

    return value


def _arguments() -> Any:
    arguments = command.parser(__doc__)
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument("--vocabularies", required=True, help="their folder")
    arguments.add_argument("--output", required=True, help="folder of the timelines")
    arguments.add_argument("--key_file", help="file of the user hash key")
    return arguments


def _said(manifest: dict[str, Any]) -> str:
    parts = [
        f"{part} {counts['requests']:,} requests"
        for part, counts in manifest["parts"].items()
    ]
    return (
        f"behaviours: {command.counted(manifest['counts'], 'impressions')}; "
        f"{', '.join(parts)}. Next: tfmm.data.requests, or the stage `rank` of a recipe"
    )


if __name__ == "__main__":
    command.main(_arguments(), run, _said)
