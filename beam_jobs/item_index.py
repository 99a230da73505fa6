"""Writes the item index: every item of the catalogue, then those only logs know."""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import common
from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.schema import Schema

ROLES = {
    "items": ("id",),
    "impressions": ("item",),
    "events": ("item",),
    "searches": ("bought", "clicked"),
}
_CATALOGUE, _LOG = "items", "log"


def run(
    schema: str,
    output: str,
    previous: str | None = None,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Builds or extends the index; returns its manifest.

    `counts` are about distinct ids; the counts under a table's name about its rows.

    Args:
        schema: Path of the schema file.
        output: Folder of the index; workers must reach the folder it stands in.
        previous: An index to extend: its ids keep their rows for ever.
        pipeline_args: Flags for Beam.
    """
    shop = Schema.from_yaml(schema)
    grown = ItemIndex.open(previous) if previous else None
    place = Path(output).absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f"{place.name}.ids-", dir=place.parent
    ) as folder:
        found = _collect(shop, folder, pipeline_args)
        ids = {kind: _ids(Path(folder) / kind) for kind in (_CATALOGUE, _LOG)}
    index, counts = _index(ids[_CATALOGUE], ids[_LOG], grown, _id_type(shop))
    rows = {name: common.table_counts(found, name) for name in _tables(shop)}
    index.save(output, counts, **rows)
    return read_manifest(output)


def _collect(
    schema: Schema, folder: str, pipeline_args: Sequence[str]
) -> dict[str, int]:
    """Writes the distinct ids of either kind; returns the job's counters."""
    pipeline = beam.Pipeline(options=common.options(pipeline_args))
    ids = []
    for name in _tables(schema):
        read = pipeline | common.ReadTable(schema, name, _present(schema, name))
        kind = _CATALOGUE if name == "items" else _LOG
        ids.append(
            read.chunks
            | f"Distinct {name}"
            >> beam.Map(_distinct, kind).with_output_types(tuple[str, bytes])
        )
    _ = (
        ids
        | "All ids" >> beam.Flatten()
        | "By kind" >> beam.GroupByKey()
        | "Write" >> beam.Map(_write, folder)
    )
    return common.finished(pipeline)


def _tables(schema: Schema) -> list[str]:
    return [name for name in ROLES if getattr(schema, name) is not None]


def _present(schema: Schema, name: str) -> list[str]:
    columns = getattr(schema, name).columns()
    return [role for role in ROLES[name] if role in columns]


def _distinct(chunk: bytes, kind: str) -> tuple[str, bytes]:
    table = common.to_table(chunk).drop_columns("source")
    arrays = [_flat(column.combine_chunks()) for column in table.columns]
    ids = pc.unique(pa.concat_arrays(arrays)).drop_null()
    return kind, common.to_bytes(pa.table({"id": ids}))


def _flat(ids: pa.Array) -> pa.Array:
    return pc.list_flatten(ids) if pa.types.is_list(ids.type) else ids


def _write(group: tuple[str, Iterable[bytes]], folder: str) -> None:
    kind, chunks = group
    table = common.joined(chunks)
    assert table is not None
    once = pa.table({"id": pc.unique(table["id"])})
    (Path(folder) / kind).write_bytes(common.to_bytes(once))


def _ids(path: Path) -> set[str]:
    """The ids that `_write` wrote; none where no table is of the kind."""
    if not path.is_file():
        return set()
    return set(common.to_table(path.read_bytes())["id"].to_pylist())


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
    arguments = common.parser(__doc__)
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--output", required=True, help="folder of the index")
    arguments.add_argument("--previous", help="an index to extend")
    return arguments


if __name__ == "__main__":
    common.main(_arguments(), run)
