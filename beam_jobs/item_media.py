"""Turns the catalogue's pictures and titles into item records."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from beam_jobs import command, files
from beam_jobs.chunks import by_shard, joined, to_bytes, to_table
from beam_jobs.counters import count, table_counts
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.kernels.pictures import Picture
from beam_jobs.kernels.promotion import promote
from beam_jobs.kernels.titles import title
from beam_jobs.media_rows import WithMedia
from beam_jobs.read_table import ReadTable, files_of, letter_of
from beam_jobs.work import Unit, Work, file_name, shard_key
from tfmm.errors import TfmmError
from tfmm.records.example import encode
from tfmm.records.index import ItemIndex
from tfmm.records.tfrecord import framed
from tfmm.schema import Schema

KIND = "items"
_FEATURES = "features:"
_ROW_BYTES = 30_000


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
    )
    if job.said():
        return {}
    with job.running() as running:
        _build(running.pipeline, shop, index, running.work)
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
        }
        return running.commit({"": whole})


def _build(pipeline: beam.Pipeline, schema: Schema, index: str, work: Work) -> None:
    made = (
        pipeline
        | ReadTable(schema, "items", work, _roles(schema))
        | "Pictures and titles" >> beam.ParDo(_Normalise(schema, index, work))
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


class _Normalise(WithMedia):
    """Chunks of the table -> (shard, rows as a record holds them)."""

    def __init__(self, schema: Schema, index: str, work: Work) -> None:
        super().__init__(schema, "items", index, work)
        assert schema.items is not None
        self._column = schema.items.image or ""

    def process(self, chunk: bytes) -> Iterator[Any]:
        whole = to_table(chunk)
        table = self.known(whole, "id")
        rows = self.index.rows_of(table["id"])
        source = table["source"].to_numpy()
        titles = [title(text) for text in self._optional(table, "title")]
        pictures = [self.picture(value) for value in self._optional(table, "image")]
        for name, reasons in (
            ("titles", ["" if text else "empty" for text in titles]),
            ("pictures", [made.reason for made in pictures]),
        ):
            count(f"{name}:read", len(reasons))
            for reason in filter(None, reasons):
                count(f"{name}:dropped:{reason}")
        count("pictures:first_frame", sum(x.first_frame for x in pictures))
        for place, made in enumerate(pictures):
            if made.reason not in ("", "absent"):
                self.leave_out(int(source[place]), self._column, made.reason)
        more_titles = self._more_titles(table, titles)
        more_pictures = self._more_pictures(table, pictures)
        usable = [made.jpeg != b"" for made in pictures]
        for name, promoted in (
            ("titles", promote(titles, more_titles, [x != "" for x in titles])),
            ("pictures", promote(pictures, more_pictures, usable)),
        ):
            count(f"{name}:from_further", promoted)
        equivalent = self._optional(table, "equivalent")
        made_table = pa.table(
            {
                "row": rows,
                "source": source,
                "id": table["id"],
                "title": pa.array(titles, pa.string()),
                "image": pa.array([made.jpeg for made in pictures], pa.binary()),
                "digest": pa.array([made.digest for made in pictures], pa.binary()),
                "look": pa.array([made.look for made in pictures], pa.binary()),
                "width": pa.array([made.width for made in pictures], pa.int64()),
                "height": pa.array([made.height for made in pictures], pa.int64()),
                "more_titles": pa.array(more_titles, pa.list_(pa.string())),
                "more_images": pa.array(
                    [[made.jpeg for made in some] for some in more_pictures],
                    pa.list_(pa.binary()),
                ),
                "equivalent": pa.array([text or "" for text in equivalent]),
            }
        )
        self.write_letters(whole["source"][0].as_py())
        for shard, part in by_shard(made_table, rows, self._work.shards):
            if not self._work.is_done(shard_key(shard)):
                yield shard, to_bytes(part)

    def _more_titles(self, table: pa.Table, titles: list[str]) -> list[list[str]]:
        """Per row the titles in other languages, each once."""
        result = []
        for own, given in zip(titles, _lists(table, "more_titles_"), strict=True):
            kept = {own: None}
            for _, text in given:
                clean = title(text)
                reason = "empty" if not clean else "repeated" if clean in kept else ""
                count("more_titles:read")
                count(f"more_titles:dropped:{reason}", bool(reason))
                kept[clean] = None
            result.append([text for text in kept if text and text != own])
        return result

    def _more_pictures(
        self, table: pa.Table, pictures: list[Picture]
    ) -> list[list[Picture]]:
        """Per row the further pictures, each once; dead letters of the bad."""
        result = []
        lists = _lists(table, "more_images_")
        for source, first, given in zip(
            table["source"].to_pylist(), pictures, lists, strict=True
        ):
            kept: dict[bytes, Picture] = {}
            for role, value in given:
                made = self.picture(value)
                repeated = made.digest in kept or made.digest == first.digest
                reason = made.reason or ("repeated" if repeated else "")
                count("more_pictures:read")
                count(f"more_pictures:dropped:{reason}", bool(reason))
                if made.reason not in ("", "absent"):
                    column = self._table.columns()[role][0]
                    self.leave_out(source, column, made.reason)
                if not reason:
                    kept[made.digest] = made
            result.append(list(kept.values()))
        return result

    def _optional(self, table: pa.Table, role: str) -> list[Any]:
        if role not in table.column_names:
            return [None] * table.num_rows
        return table[role].to_pylist()


def _lists(table: pa.Table, prefix: str) -> list[list[tuple[str, Any]]]:
    """Per row the values of all list columns of a role, each with its column's role."""
    found: list[list[tuple[str, Any]]] = [[] for _ in range(table.num_rows)]
    for role in table.column_names:
        if role.startswith(prefix):
            for own, values in zip(found, table[role].to_pylist(), strict=True):
                own += [(role, value) for value in values or ()]
    return found


class _WriteShard(beam.DoFn):
    def __init__(self, work: Work, files: list[str], column: str) -> None:
        self._work, self._files, self._column = work, files, column

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[None]:
        shard, chunks = group
        with self._work.unit(shard_key(shard)) as unit:
            table = joined(filter(None, chunks))
            rows = [] if table is None else self._once(table, unit).to_pylist()
            name = file_name("items", shard, self._work.shards)
            unit.write(name, (framed(_record(row)) for row in rows))
        yield None

    def _once(self, table: pa.Table, unit: Unit) -> pa.Table:
        """The first row of every item."""
        table = table.sort_by([("row", "ascending"), ("source", "ascending")])
        rows = table["row"].to_numpy()
        first = np.r_[True, rows[1:] != rows[:-1]]
        for source in table["source"].to_numpy()[~first].tolist():
            count("items:dropped:repeated_id")
            letter = letter_of(source, self._files, self._column, "repeated_id")
            unit.letter(letter, "items")
        return table.filter(pa.array(first))


def _record(item: dict[str, Any]) -> bytes:
    return encode(
        {
            "row": np.array([item["row"]]),
            "item_id": [item["id"].encode()],
            "title": [item["title"].encode()],
            "image": [item["image"]],
            "image_hash": [item["digest"]],
            "image_phash": [item["look"]],
            "image_width": np.array([item["width"]]),
            "image_height": np.array([item["height"]]),
            "more_titles": [text.encode() for text in item["more_titles"]],
            "more_images": item["more_images"],
            "equivalent": [item["equivalent"].encode()],
        }
    )


def _arguments() -> Any:
    arguments = command.parser(__doc__)
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
