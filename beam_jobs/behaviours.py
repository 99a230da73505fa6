"""Turns impressions and events into timelines with requests as cut positions."""

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam

from beam_jobs import command, files, log_shards, split_check
from beam_jobs.counters import table_counts
from beam_jobs.earlier_timelines import KIND, previous_of, rules_of
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.stretch import Stretch
from beam_jobs.timeline_shards import REWRITTEN, WriteShard
from beam_jobs.user_key import UserKey
from tfmm.errors import TfmmError
from tfmm.identity import require_key
from tfmm.records import timeline
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.records.spec import RequestSpec
from tfmm.records.split import SPLITS
from tfmm.records.vocabularies import Vocabularies
from tfmm.schema import Schema

_LOGS = ("impressions", "events", "users", "histories")


def run(
    schema: str,
    index: str,
    vocabularies: str,
    output: str,
    key_file: str | None = None,
    previous: str | None = None,
    from_day: str | None = None,
    to_day: str | None = None,
    lateness_days: float = 0,
    control: Control = DEFAULT,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes `train`, `validation` and `test` timelines; returns their manifest.

    With `previous`, the days are added to earlier timelines, and replace what these
    have of them: the records are those that one run over all days would write, at a
    cost that follows the days. For that, a run with `to_day` carries over the newest
    events of every user, and the requests and events of its last days.

    Args:
        schema: Path of the schema file.
        index: Folder of the item index.
        vocabularies: Folder of the vocabularies, for the request's spec.
        output: Folder of the timelines; may be `previous`.
        key_file: File of the user hash key, which workers must reach; the variable
            `TFMM_USER_KEY` of every process otherwise.
        previous: Timelines to add to, made with `to_day` and the same rules.
        from_day: The first day to read, in UTC, such as `2026-11-25`.
        to_day: The last day to read.
        lateness_days: How late events may arrive: so many days before `from_day` are
            read again.
        control: How the job runs.
        pipeline_args: Flags for Beam.

    Raises:
        TfmmError: If an input is missing, belongs to another index or has users of
            another key, if the days cannot be added to `previous`, or if training or
            the test has no request.
    """
    files.use_flags(pipeline_args)
    shop = Schema.from_yaml(schema)
    items = ItemIndex.open(files.fetched(index))
    known = files.fetched(vocabularies)
    spec = Vocabularies.open(known, items).spec
    _check_weight(spec, shop, vocabularies)
    key = UserKey.of(key_file)
    require_key(read_manifest(known).get("key_check"), key.read(), f"`{vocabularies}`")
    stretch = Stretch.of(from_day, to_day, lateness_days)
    earlier, before = None, dict[str, Any]()
    if previous is not None:
        earlier, before = previous_of(previous, shop, spec, items, key, stretch)
        control = control.with_shards(before["shards"], previous)
    job = Job(
        "behaviours",
        output,
        schema=shop,
        tables=log_shards.tables_of(shop),
        folders=[x for x in (index, vocabularies, previous) if x],
        stretch=stretch,
        arguments={"key": key.check},
        control=control,
        pipeline_args=pipeline_args,
        row_bytes=log_shards.ROW_BYTES,
    )
    if job.said():
        return {}
    stretch = stretch.reaching(before.get("until"))
    with job.running() as running:
        work = running.work
        _ = (
            running.pipeline
            | log_shards.ReadLogs(shop, index, key, work, stretch)
            | "Timelines" >> beam.ParDo(WriteShard(shop, spec, work, stretch, earlier))
        )
        found = running.finish()
        parts = {part: _part_counts(found, part, before) for part in SPLITS}
        split_check.require_requests(parts, shop)
        shared = {"index": items.stamp()}
        sets = {
            part: {
                "kind": timeline.KIND,
                "counts": parts[part],
                "spec": spec.to_dict(),
                **shared,
            }
            for part in SPLITS
        }
        logs = {name: table_counts(found, name) for name in _LOGS}
        whole = {
            "kind": KIND,
            "counts": logs.pop("impressions"),
            **logs,
            "parts": parts,
            **({REWRITTEN: table_counts(found, REWRITTEN)} if earlier else {}),
            "outside": {name: found.get(f"{name}:outside", 0) for name in _LOGS[:2]},
            "stretch": stretch.said(),
            "horizon": stretch.horizon,
            "until": stretch.end,
            "shards": work.shards,
            "rules": rules_of(shop, spec),
            "key_check": key.check,
            **shared,
        }
        return running.commit({**sets, "": whole})


def _check_weight(spec: RequestSpec, shop: Schema, vocabularies: str) -> None:
    if spec.weight != (shop.requests.negative_rate < 1):
        raise TfmmError(
            f"`{vocabularies}` were counted for requests with"
            f"{'' if spec.weight else 'out'} sampled negatives. Received: "
            f"negative_rate {shop.requests.negative_rate}. Run `vocabularies` again "
            "with this schema."
        )


def _part_counts(
    found: Mapping[str, int], part: str, before: Mapping[str, Any]
) -> dict[str, int]:
    """The part's counts: the earlier run's, and what changed."""
    earlier = before["parts"][part] if before else {}
    names = ("timelines", "requests", "impressions", "positives")
    counts = {
        name: earlier.get(name, 0) + found.get(f"{part}:{name}", 0) for name in names
    }
    return {"written": counts["impressions"], **counts}


def _arguments() -> Any:
    arguments = command.parser(
        __doc__,
        name="behaviours",
        reads="impressions, events and users of the schema; the item index; "
        "vocabularies; earlier timelines, if given",
        writes="train/, validation/ and test/ timelines: a record for every user "
        "with its events and its requests as positions among them",
        example="--schema shop.yaml --index out/index --vocabularies "
        "out/vocabularies --output out/timelines",
    )
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument(
        "--vocabularies", required=True, help="folder of the vocabularies"
    )
    arguments.add_argument("--output", required=True, help="folder of the timelines")
    arguments.add_argument(
        "--key_file",
        help="file of the user hash key; the variable TFMM_USER_KEY when absent",
    )
    arguments.add_argument("--previous", help="timelines to add days to")
    arguments.add_argument(
        "--from", dest="from_day", metavar="DAY", help="first day to read, 2026-11-25"
    )
    arguments.add_argument(
        "--to", dest="to_day", metavar="DAY", help="last day to read"
    )
    arguments.add_argument(
        "--lateness_days",
        type=float,
        default=0,
        metavar="DAYS",
        help="how late events may arrive: so many days more are read again",
    )
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
