"""Turns the catalogue's pictures and titles into item records."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from beam_jobs import command, files
from beam_jobs.chunks import joined
from beam_jobs.counters import count, table_counts
from beam_jobs.item_rows import PackItems
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.media_rows import PackMedia, decoding_threads, rows_per_shard
from beam_jobs.packs import read_sections
from beam_jobs.plan import MIB
from beam_jobs.read_table import ReadTable, files_of, letter_of
from beam_jobs.work import Unit, Work, file_name, shard_key
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.tfrecord import framed
from tfmm.schema import Items, Schema
from tfmm.schema.rules import Media

KIND = "items"
_FEATURES = "features:"
# What travels of a row on one machine: its share of a place, or its path.
_ROW_BYTES = 300
_BASE_BYTES = 700 * MIB


def run(
    schema: str,
    index: str,
    output: str,
    control: Control = DEFAULT,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes item records; returns their manifest.

    A picture that cannot be used becomes a dead letter. The first usable one of an
    item's further pictures then is the item's own, and so it is with titles; an item
    without any keeps the rest. Of a repeated item id the first row counts, of equal
    pictures or titles of one item the first too.

    Args:
        schema: Path of the schema file.
        index: Folder of the item index.
        output: Folder of the item records.
        control: How the job runs.
        pipeline_args: Flags for Beam.
    """
    files.use_flags(pipeline_args)
    shop = Schema.from_yaml(schema)
    if shop.items is None:
        raise TfmmError(
            f"`{schema}` has no `items`, so there is no media to read. Add the table, "
            "or bring vectors of your own: Catalog.from_vectors."
        )
    stamp = ItemIndex.open(files.fetched(index)).stamp()
    job = Job(
        "item_media",
        output,
        schema=shop,
        tables=["items"],
        folders=[index],
        control=control,
        pipeline_args=pipeline_args,
        row_bytes=_ROW_BYTES,
        base_bytes=_BASE_BYTES,
        rows_per_shard=_rows_per_shard(shop.items, shop.media),
    )
    if job.said():
        return {}
    with job.running() as running:
        threads = decoding_threads(job.options)
        _build(running.pipeline, shop, index, running.work, threads)
        found = running.finish()
        whole = {
            "kind": KIND,
            "counts": table_counts(found, "items"),
            "pictures": _own_counts(found, "pictures"),
            "titles": _own_counts(found, "titles"),
            "more_pictures": table_counts(found, "more_pictures"),
            "more_titles": table_counts(found, "more_titles"),
            "index": stamp,
            "image_size": shop.media.image_size,
            "near_duplicates": shop.media.near_duplicates,
        }
        return running.commit({"": whole})


def _build(
    pipeline: beam.Pipeline, schema: Schema, index: str, work: Work, threads: int
) -> None:
    packing = PackItems(schema, "items", index, work, threads)
    made = (
        pipeline
        | ReadTable(schema, "items", work, _roles(schema), ticks=False)
        | "Pictures and titles" >> PackMedia(packing)
    )
    seeds = pipeline | "Seeds" >> beam.Create(
        [(shard, b"") for shard in work.left()]
    ).with_output_types(tuple[int, bytes])
    assert schema.items is not None
    _ = (
        (made, seeds)
        | beam.Flatten()
        | "By shard" >> beam.GroupByKey()
        | "Write"
        >> beam.ParDo(_WriteShard(work, files_of(schema, "items"), schema.items.id))
    )


def _rows_per_shard(items: Items, rule: Media) -> int:
    further = sum(name.startswith("more_images") for name in items.columns())
    return rows_per_shard((items.image is not None) + 3 * further, rule.image_size)


def _own_counts(found: dict[str, int], name: str) -> dict[str, Any]:
    """Counts of items' own media, and how often a further one took their place.

    Of pictures also how many are the first frame of an animation.
    """
    further = found.get(f"{name}:from_further", 0)
    counts = table_counts(found, name) | {"from_further": further}
    if name == "pictures":
        counts["first_frame"] = found.get("pictures:first_frame", 0)
    return counts


def _roles(schema: Schema) -> list[str]:
    assert schema.items is not None
    return [role for role in schema.items.columns() if not role.startswith(_FEATURES)]


class _WriteShard(beam.DoFn):
    def __init__(self, work: Work, files: list[str], column: str) -> None:
        self._work, self._files, self._column = work, files, column

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[None]:
        shard, found = group
        with self._work.unit(shard_key(shard)) as unit:
            table = joined(read_sections(self._work, filter(None, found)))
            name = file_name("items", shard, self._work.shards)
            unit.write(name, () if table is None else self._records(table, unit))
        yield None

    def _records(self, table: pa.Table, unit: Unit) -> Iterator[bytes]:
        """The first record of every item, in the order of rows."""
        source = table["source"].to_numpy()
        rows = table["row"].to_numpy()
        order = np.lexsort((source, rows))
        repeated = np.r_[False, rows[order][1:] == rows[order][:-1]]
        for place in source[order][repeated].tolist():
            count("items:dropped:repeated_id")
            letter = letter_of(place, self._files, self._column, "repeated_id")
            unit.letter(letter, "items")
        records = table["record"]
        for place in order[~repeated].tolist():
            yield framed(records[place].as_py())


def _arguments() -> Any:
    arguments = command.parser(
        __doc__,
        name="item_media",
        reads="items of the schema with their pictures, in the table or by path "
        "or URI; the item index",
        writes="a record for every item: its pictures as small JPEGs, its titles, "
        "hashes of equal and of alike pictures",
        example="--schema shop.yaml --index out/index --output out/items",
    )
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument("--output", required=True, help="folder of the records")
    return arguments


def _said(manifest: dict[str, Any]) -> str:
    return (
        f"item_media: {command.counted(manifest['counts'], 'items')}; "
        f"{command.counted(manifest['pictures'], 'pictures')}. Next: python -m "
        "beam_jobs.search_pairs"
    )


if __name__ == "__main__":
    command.main(_arguments(), run, _said)
