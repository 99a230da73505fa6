"""Writes the item index: every item of the catalogue, then those only logs know."""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import command, files
from beam_jobs.chunks import joined, to_bytes, to_table
from beam_jobs.counters import table_counts
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.read_table import ReadTable
from beam_jobs.work import PACKS, Work
from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.index import FIRST_ROW, ItemIndex
from tfmm.schema import Schema

ROLES = {
    "items": ("id",),
    "impressions": ("item",),
    "events": ("item",),
    "searches": ("bought", "clicked"),
}
_CATALOGUE, _LOG = "items", "log"
_ROW_BYTES = 40


def run(
    schema: str,
    output: str,
    previous: str | None = None,
    control: Control = DEFAULT,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Builds or extends the index; returns its manifest.

    `counts` are about distinct ids; the counts under a table's name about its rows.

    Args:
        schema: Path of the schema file.
        output: Folder of the index; workers must reach it.
        previous: An index to extend: its ids keep their rows for ever.
        control: How the job runs.
        pipeline_args: Flags for Beam.
    """
    files.use_flags(pipeline_args)
    shop = Schema.from_yaml(schema)
    grown = ItemIndex.open(files.fetched(previous)) if previous else None
    job = Job(
        "item_index",
        output,
        schema=shop,
        tables=_tables(shop),
        folders=[previous] if previous else [],
        control=control,
        pipeline_args=pipeline_args,
        row_bytes=_ROW_BYTES,
    )
    if job.said():
        return {}
    with job.running() as running:
        _build(running.pipeline, shop, running.work)
        found = running.finish()
        rows = {name: table_counts(found, name) for name in _tables(shop)}
        ids = {kind: _ids(running.work, kind) for kind in (_CATALOGUE, _LOG)}
        made, counts = _index(ids[_CATALOGUE], ids[_LOG], grown, _id_type(shop))
        with running.saving() as folder:
            made.save(folder, counts, **rows)
        return running.manifest()


def _build(pipeline: beam.Pipeline, schema: Schema, work: Work) -> None:
    """Writes the distinct ids of either kind."""
    ids = []
    for name in _tables(schema):
        read = pipeline | ReadTable(schema, name, work, _present(schema, name))
        kind = _CATALOGUE if name == "items" else _LOG
        ids.append(
            read
            | f"Distinct {name}"
            >> beam.Map(_distinct, kind).with_output_types(tuple[str, bytes])
        )
    _ = (
        ids
        | "All ids" >> beam.Flatten()
        | "By kind" >> beam.GroupByKey()
        | "Write" >> beam.Map(_write, work)
    )


def _tables(schema: Schema) -> list[str]:
    """The tables that name items."""
    tables = schema.tables()
    return [name for name in ROLES if name in tables and _present(schema, name)]


def _present(schema: Schema, name: str) -> list[str]:
    columns = getattr(schema, name).columns()
    return [role for role in ROLES[name] if role in columns]


def _distinct(chunk: bytes, kind: str) -> tuple[str, bytes]:
    table = to_table(chunk).drop_columns("source")
    arrays = [_flat(column.combine_chunks()) for column in table.columns]
    ids = pc.unique(pa.concat_arrays(arrays)).drop_null()
    return kind, to_bytes(pa.table({"id": ids}))


def _flat(ids: pa.Array) -> pa.Array:
    return pc.list_flatten(ids) if pa.types.is_list(ids.type) else ids


def _write(group: tuple[str, Iterable[bytes]], work: Work) -> None:
    kind, chunks = group
    table = joined(chunks)
    assert table is not None
    once = pa.table({"id": pc.unique(table["id"])})
    with work.unit(kind) as unit:
        unit.write(kind, [to_bytes(once)], PACKS)


def _ids(work: Work, kind: str) -> set[str]:
    """The ids that `_write` wrote; none where no table is of the kind."""
    path = work.path(PACKS, kind)
    if files.facts(path) is None:
        return set()
    return set(to_table(files.read(path))["id"].to_pylist())


def _index(
    catalogue: set[str], log: set[str], grown: ItemIndex | None, id_type: str
) -> tuple[ItemIndex, dict[str, Any]]:
    """The index, and the counts of distinct ids for its manifest."""
    everything = catalogue | log
    if not everything:
        raise TfmmError(
            "No table has an item id that can be read. Expected: at least one. "
            "Received: 0. Look at the item columns of the tables and the schema."
        )
    kept = grown.ids if grown else []
    id_type = id_type if all(map(_canonical, everything.union(kept))) else "string"
    if grown is None:
        index = ItemIndex.create(catalogue, id_type).extend(log)
    else:
        index = ItemIndex(kept, id_type, grown.lineage).extend(catalogue).extend(log)
    return index, {
        "read": len(everything),
        "written": len(everything),
        "dropped": {},
        "only_in_logs": len(log - catalogue),
        "gone": index.rows - 2 - len(everything),
    }


def _id_type(schema: Schema) -> str:
    named = [("items", "id"), ("impressions", "item")]
    integers = all(
        tables.holds_integers(getattr(schema, name), schema.folder, role)
        for name, role in named
        if getattr(schema, name) is not None
    )
    return "int64" if integers else "string"


def _canonical(text: str) -> bool:
    """Whether an int64 says the same as the text."""
    digits = text.removeprefix("-")
    if not digits.isdecimal() or len(digits) > 19 or str(int(text)) != text:
        return False
    return -(2**63) <= int(text) < 2**63


def _arguments() -> Any:
    arguments = command.parser(
        __doc__,
        name="item_index",
        reads="the item ids of all tables of the schema",
        writes="a Parquet file with the row of every id, catalogue first, then ids "
        "that only logs know; rows never move when an index is extended",
        example="--schema shop.yaml --output out/index",
    )
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--output", required=True, help="folder of the index")
    arguments.add_argument("--previous", help="an index to extend")
    return arguments


def _said(manifest: dict[str, Any]) -> str:
    counts = manifest["counts"]
    return (
        f"item_index: {manifest['index']['rows'] - FIRST_ROW:,} items, "
        f"{counts['only_in_logs']:,} of them only in logs. Next: python -m "
        "beam_jobs.item_media, or beam_jobs.vocabularies"
    )


if __name__ == "__main__":
    command.main(_arguments(), run, _said)
