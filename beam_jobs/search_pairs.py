"""Turns searches that ended in a purchase into pair records for SCL."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import common
from beam_jobs.kernels import media, timelines
from beam_jobs.media_rows import WithMedia
from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.example import encode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest, write_manifest, writing
from tfmm.records.tfrecord import write_records
from tfmm.schema import GlobalTime, Schema

KIND = "pairs"
_TEST_SHARDS = 1


def run(
    schema: str, index: str, output: str, pipeline_args: Sequence[str] = ()
) -> dict[str, Any]:
    """Writes `train` and `test` pair records; returns their manifest.

    Pairs obey the split rule: with `global_time`, searches after the end of training
    are the test; with `per_user_last_fraction`, the last fraction of all searches.

    Args:
        schema: Path of the schema file.
        index: Folder of the item index.
        output: Folder of the pair records.
        pipeline_args: Flags for Beam.
    """
    shop = Schema.from_yaml(schema)
    if shop.searches is None:
        raise TfmmError(
            f"`{schema}` has no `searches`, so there are no pairs to train towers on. "
            "Add the table, or bring vectors of your own: Catalog.from_vectors."
        )
    stamp = ItemIndex.open(index).stamp()
    first_test = _first_test(shop)
    with writing(output) as tmp:
        for part in ("train", "test"):
            (tmp / part).mkdir()
        pipeline = beam.Pipeline(options=common.options(pipeline_args))
        read = pipeline | common.ReadTable(shop, "searches")
        made = read.chunks | "Pairs" >> beam.ParDo(
            _Pairs(shop, index, first_test)
        ).with_outputs(common.DEAD, main="rows")
        _ = (
            made.rows
            | "By shard" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(_WriteShard(str(tmp)))
        )
        letters = (read[common.DEAD], made[common.DEAD])
        _ = letters | "Letters" >> beam.Flatten() | common.WriteDeadLetters(tmp)
        found = common.finished(pipeline)
        for part in ("train", "test"):
            write_manifest(
                tmp / part,
                kind=KIND,
                counts={"written": found.get(f"pairs:{part}", 0)},
                index=stamp,
            )
        write_manifest(
            tmp,
            kind="pair_sets",
            counts=common.table_counts(found, "searches"),
            pictures=common.table_counts(found, "pictures"),
            parts={part: found.get(f"pairs:{part}", 0) for part in ("train", "test")},
            sources={
                name: found.get(f"source:{name}", 0) for name in ("image", "text")
            },
            first_test=first_test,
            index=stamp,
        )
    return read_manifest(output)


def _first_test(schema: Schema) -> int:
    """The first moment, in microseconds, whose searches are test pairs."""
    if isinstance(schema.split, GlobalTime):
        return timelines.first_known(schema.split)
    assert schema.searches is not None
    read = tables.times(schema.searches, schema.folder, schema.time_unit)
    times = np.sort(np.concatenate([np.zeros(0, np.int64), *read]))
    known = np.floor(round((1 - schema.split.test_fraction) * len(times), 9))
    return int(times[int(known)]) if known < len(times) else np.iinfo(np.int64).max


class _Pairs(WithMedia):
    """Chunks of searches -> ((part, shard), pairs as a record holds them)."""

    def __init__(self, schema: Schema, index: str, first_test: int) -> None:
        super().__init__(schema, "searches", index)
        assert schema.searches is not None
        self._first_test = first_test
        self._column = schema.searches.query_image or schema.searches.query_text or ""

    def process(self, chunk: bytes) -> Iterator[Any]:
        table, letters = self.known(common.to_table(chunk), "bought")
        yield from letters
        kept, rows = [], self.index.rows_of(table["bought"]).tolist()
        for row, search in zip(rows, table.to_pylist(), strict=True):
            text = media.title(search.get("query_text"))
            image = self._image(search.get("query_image"))
            common.count("source:image", bool(image.jpeg))
            common.count("source:text", bool(text))
            if image.reason not in ("", "absent") or not (text or image.jpeg):
                reason = "no_query" if image.reason in ("", "absent") else image.reason
                yield self.letter(search["source"], self._column, reason)
            if not (text or image.jpeg):
                common.count("searches:dropped:no_query")
                continue
            kept.append(
                {
                    "source": search["source"],
                    "time": search["time"],
                    "query_text": text,
                    "query_image": image.jpeg,
                    "item": row,
                    "negatives": self._negatives(search.get("clicked"), row),
                }
            )
        if not kept:
            return
        pairs = pa.Table.from_pylist(kept, _SCHEMA)
        test = pc.greater_equal(pairs["time"], self._first_test)
        for part, chosen in (("train", pc.invert(test)), ("test", test)):
            rows_of_part = pairs.filter(chosen)
            common.count(f"pairs:{part}", rows_of_part.num_rows)
            source = rows_of_part["source"].to_numpy()
            shards = common.SHARDS if part == "train" else _TEST_SHARDS
            for shard, group in common.by_shard(rows_of_part, source, shards):
                yield (
                    f"{part}/pairs-{shard:05d}-of-{shards:05d}",
                    common.to_bytes(group),
                )

    def _image(self, value: bytes | str | None) -> media.Picture:
        made = self.picture(value)
        if made.reason != "absent":
            common.count("pictures:read")
            common.count(f"pictures:dropped:{made.reason}", bool(made.reason))
        return made

    def _negatives(self, clicked: Sequence[str] | None, bought: int) -> list[int]:
        if not clicked:
            return []
        rows = self.index.rows_of([item for item in clicked if item]).tolist()
        return sorted({row for row in rows if row > 1 and row != bought})


_SCHEMA = pa.schema(
    {
        "source": pa.int64(),
        "time": pa.int64(),
        "query_text": pa.string(),
        "query_image": pa.binary(),
        "item": pa.int64(),
        "negatives": pa.list_(pa.int64()),
    }
)


class _WriteShard(beam.DoFn):
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def process(self, group: tuple[str, Iterable[bytes]]) -> Iterator[None]:
        name, chunks = group
        table = common.joined(chunks)
        assert table is not None
        pairs = table.sort_by([("source", "ascending")]).to_pylist()
        write_records(Path(self._folder) / f"{name}.tfrecord", map(_record, pairs))
        yield None


def _record(pair: dict[str, Any]) -> bytes:
    return encode(
        {
            "query_text": [pair["query_text"].encode()],
            "query_image": [pair["query_image"]],
            "item": np.array([pair["item"]]),
            "negatives": np.array(pair["negatives"], np.int64),
            "time": np.array([pair["time"]]),
        }
    )


def _arguments() -> Any:
    arguments = common.parser(__doc__)
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument("--output", required=True, help="folder of the records")
    return arguments


if __name__ == "__main__":
    common.main(_arguments(), run)
