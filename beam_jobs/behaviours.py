"""Turns impressions and events into timelines with requests as cut positions."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from beam_jobs import command, files, log_shards, split_check
from beam_jobs.counters import count, table_counts
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.kernels import histories, negatives, timeline_records, timelines
from beam_jobs.work import Unit, Work, file_name, shard_key
from tfmm.errors import TfmmError
from tfmm.identity import key_check, read_secret, require_key
from tfmm.records.example_batch import framed_examples
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.records.spec import RequestSpec
from tfmm.records.split import SPLITS
from tfmm.records.timeline import KIND
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
            made = timeline_records.features(
                shard, (starts, spans[1]), self._spec, code
            )
            name = file_name("timelines", number, self._work.shards)
            unit.write(f"{part}/{name}", framed_examples(made))
            for what, amount in timeline_records.counts(made, self._spec).items():
                count(f"{part}:{what}", amount)

    def _sampled(self, shard: log_shards.LogShard) -> log_shards.LogShard:
        if not self._spec.weight:
            return shard
        shown = shard.requests.impressions.num_rows
        rate = self._schema.requests.negative_rate
        requests = negatives.sampled(shard.requests, self._spec.labels, rate)
        left_out = shown - requests.impressions.num_rows
        count("impressions:dropped:sampled_out", left_out)
        return dataclasses.replace(shard, requests=requests)


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
