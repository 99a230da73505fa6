"""The timelines of the benchmark's log as most Beam pipelines are written: row by row.

Rows are dictionaries, keyed and grouped by user; a loop over a user's rows makes a
tf.train.Example, and Beam's own sink writes it. The records are those of
`beam_jobs.behaviours`, in any order.
"""

import bisect
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.beam_jobs_data import KEY, MAX_HISTORY, SPLIT_FROM

CLICK, FIRST_ROW, SECOND = 2, 2, 1_000_000
PARTS = ("train", "validation", "test")
Request = tuple[int, list[dict[str, Any]]]


def build(folder: Path, out: Path, shards: int) -> None:
    """Writes `shards` files for every part below `out`."""
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        records = (
            pipeline
            | beam.io.ReadFromParquet(str(folder / "impressions.parquet"))
            | beam.Map(lambda row: (row["user"], row))
            | beam.GroupByKey()
            | beam.ParDo(Timelines(folder / "index" / "ids.parquet"))
        )
        parts = records | beam.Partition(lambda record, _: record[0], len(PARTS))
        for name, part in zip(PARTS, parts, strict=True):
            _ = (
                part
                | f"Bytes {name}" >> beam.Map(lambda record: record[1])
                | f"Write {name}"
                >> beam.io.WriteToTFRecord(
                    str(out / name / "timelines"),
                    file_name_suffix=".tfrecord",
                    num_shards=shards,
                )
            )


class Timelines(beam.DoFn):
    """A user's rows -> (part, serialized record) for every part with a request."""

    def __init__(self, ids: Path) -> None:
        self.ids = ids

    def setup(self) -> None:
        texts = pq.read_table(self.ids)["item_id"].to_pylist()
        self.rows = {int(text): row for row, text in enumerate(texts, FIRST_ROW)}

    def process(
        self, group: tuple[str, Iterable[dict[str, Any]]]
    ) -> Iterator[tuple[int, bytes]]:
        user, found = group
        shown = [{**row, "row": self.rows[row["item"]]} for row in found]
        shown.sort(key=lambda row: (row["time"], row["row"], row["click"]))
        clicks = {(row["time"], row["row"]) for row in shown if row["click"]}
        events = sorted(clicks)
        requests = itertools.groupby(shown, key=lambda row: row["time"])
        listed = [(time, list(rows)) for time, rows in requests]
        for part, own in itertools.groupby(listed, key=part_of):
            yield part, record(hashed(user), events, list(own)).SerializeToString()


def part_of(request: Request) -> int:
    return bisect.bisect(SPLIT_FROM, request[0])


def record(
    user: int, events: list[tuple[int, int]], requests: list[Request]
) -> tf.train.Example:
    cuts = [bisect.bisect_left(events, (time,)) for time, _ in requests]
    starts = [max(0, cut - MAX_HISTORY) for cut in cuts]
    first = min(starts)
    history = events[first : max(cuts)]
    shown = [row for _, rows in requests for row in rows]
    clicks = tf.train.FloatList(value=[row["click"] for row in shown])
    features = {
        "user": integers([user]),
        "event_item": integers([row for _, row in history]),
        "event_type": integers([CLICK] * len(history)),
        "event_time": integers([time * SECOND for time, _ in history]),
        "request_time": integers([time * SECOND for time, _ in requests]),
        "request_start": integers([start - first for start in starts]),
        "request_cut": integers([cut - first for cut in cuts]),
        "request_items": integers([len(rows) for _, rows in requests]),
        "item": integers([row["row"] for row in shown]),
        "label_click": tf.train.Feature(float_list=clicks),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def integers(values: list[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def hashed(user: str) -> int:
    digest = hashlib.blake2b(user.encode(), digest_size=8, key=KEY).digest()
    return int.from_bytes(digest, "little") >> 1
