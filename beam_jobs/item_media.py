"""Turns the catalogue's pictures and titles into item records."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from beam_jobs import common
from beam_jobs.kernels import media
from beam_jobs.media_rows import WithMedia
from tfmm.errors import TfmmError
from tfmm.records.example import encode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest, write_manifest, writing
from tfmm.records.tfrecord import write_records
from tfmm.schema import Schema

KIND = "items"


def run(
    schema: str, index: str, output: str, pipeline_args: Sequence[str] = ()
) -> dict[str, Any]:
    """Writes item records; returns their manifest.

    An item whose picture cannot be used keeps its title; the picture becomes a dead
    letter. Of a repeated item id the first row counts.

    Args:
        schema: Path of the schema file.
        index: Folder of the item index.
        output: Folder of the item records.
        pipeline_args: Flags for Beam.
    """
    shop = Schema.from_yaml(schema)
    if shop.items is None:
        raise TfmmError(
            f"`{schema}` has no `items`, so there is no media to read. Add the table, "
            "or bring vectors of your own: Catalog.from_vectors."
        )
    stamp = ItemIndex.open(index).stamp()
    with writing(output) as tmp:
        pipeline = beam.Pipeline(options=common.options(pipeline_args))
        read = pipeline | common.ReadTable(shop, "items", _roles(shop))
        made = read.chunks | "Pictures and titles" >> beam.ParDo(
            _Normalise(shop, index)
        ).with_outputs(common.DEAD, main="rows")
        seeds = pipeline | "Seeds" >> beam.Create(
            [(shard, b"") for shard in range(common.SHARDS)]
        ).with_output_types(tuple[int, bytes])
        shards = (
            (made.rows, seeds)
            | beam.Flatten()
            | "By shard" >> beam.GroupByKey()
            | "Write"
            >> beam.ParDo(
                _WriteShard(str(tmp), common.files_of(shop, "items"), shop.items.id)
            ).with_outputs(common.DEAD, main="done")
        )
        letters = (read[common.DEAD], made[common.DEAD], shards[common.DEAD])
        _ = letters | "Letters" >> beam.Flatten() | common.WriteDeadLetters(tmp)
        found = common.finished(pipeline)
        write_manifest(
            tmp,
            kind=KIND,
            counts=common.table_counts(found, "items"),
            pictures=common.table_counts(found, "pictures"),
            titles=common.table_counts(found, "titles"),
            index=stamp,
            image_size=shop.media.image_size,
        )
    return read_manifest(output)


def _roles(schema: Schema) -> list[str]:
    assert schema.items is not None
    return [role for role in ("id", "title", "image") if role in schema.items.columns()]


class _Normalise(WithMedia):
    """Chunks of the table -> (shard, rows as a record holds them)."""

    def __init__(self, schema: Schema, index: str) -> None:
        super().__init__(schema, "items", index)
        assert schema.items is not None
        self._column = schema.items.image or ""

    def process(self, chunk: bytes) -> Iterator[Any]:
        table, letters = self.known(common.to_table(chunk), "id")
        yield from letters
        rows = self.index.rows_of(table["id"])
        source = table["source"].to_numpy()
        titles = [media.title(text) for text in self._optional(table, "title")]
        pictures = [self.picture(value) for value in self._optional(table, "image")]
        for name, reasons in (
            ("titles", ["" if text else "empty" for text in titles]),
            ("pictures", [made.reason for made in pictures]),
        ):
            common.count(f"{name}:read", len(reasons))
            for reason in filter(None, reasons):
                common.count(f"{name}:dropped:{reason}")
        for place, made in enumerate(pictures):
            if made.reason not in ("", "absent"):
                yield self.letter(int(source[place]), self._column, made.reason)
        made_table = pa.table(
            {
                "row": rows,
                "source": source,
                "id": table["id"],
                "title": pa.array(titles, pa.string()),
                "image": pa.array([made.jpeg for made in pictures], pa.binary()),
                "digest": pa.array([made.digest for made in pictures], pa.binary()),
            }
        )
        for shard, part in common.by_shard(made_table, rows, common.SHARDS):
            yield shard, common.to_bytes(part)

    def _optional(self, table: pa.Table, role: str) -> list[Any]:
        if role not in table.column_names:
            return [None] * table.num_rows
        return table[role].to_pylist()


class _WriteShard(beam.DoFn):
    def __init__(self, folder: str, files: list[str], column: str) -> None:
        self._folder, self._files, self._column = folder, files, column

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        shard, chunks = group
        path = Path(self._folder) / f"items-{shard:05d}-of-{common.SHARDS:05d}.tfrecord"
        table = common.joined(filter(None, chunks))
        if table is None:
            write_records(path, [])
            return
        table = table.sort_by([("row", "ascending"), ("source", "ascending")])
        rows = table["row"].to_numpy()
        first = np.r_[True, rows[1:] != rows[:-1]]
        for source in table["source"].to_numpy()[~first].tolist():
            common.count("items:dropped:repeated_id")
            yield beam.pvalue.TaggedOutput(
                common.DEAD,
                common.letter_of(source, self._files, self._column, "repeated_id"),
            )
        write_records(path, map(_record, table.filter(pa.array(first)).to_pylist()))


def _record(item: dict[str, Any]) -> bytes:
    return encode(
        {
            "row": np.array([item["row"]]),
            "item_id": [item["id"].encode()],
            "title": [item["title"].encode()],
            "image": [item["image"]],
            "image_hash": [item["digest"]],
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
