"""Writes the item index: every item of the catalogue, then those only logs know."""

from collections.abc import Iterable, Iterator, Sequence
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

    Args:
        schema: Path of the schema file.
        output: Folder of the index.
        previous: An index to extend: its ids keep their rows for ever.
        pipeline_args: Flags for Beam.
    """
    shop = Schema.from_yaml(schema)
    grown = ItemIndex.open(previous) if previous else None
    pipeline = beam.Pipeline(options=common.options(pipeline_args))
    nothing = common.to_bytes(pa.table({"id": pa.array([], pa.string())}))
    ids = [pipeline | "Seed" >> beam.Create([(_CATALOGUE, nothing)])]
    for name, roles in ROLES.items():
        if getattr(shop, name) is None:
            continue
        read = pipeline | common.ReadTable(shop, name, _present(shop, name, roles))
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
        | "Once" >> beam.Map(_union).with_output_types(tuple[int, tuple[str, bytes]])
        | "Together" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(_Write(output, grown, _id_type(shop)))
    )
    common.finished(pipeline)
    return read_manifest(output)


def _present(schema: Schema, name: str, roles: Sequence[str]) -> list[str]:
    columns = getattr(schema, name).columns()
    return [role for role in roles if role in columns]


def _distinct(chunk: bytes, kind: str) -> tuple[str, bytes]:
    table = common.to_table(chunk).drop_columns("source")
    arrays = [_flat(column.combine_chunks()) for column in table.columns]
    ids = pc.unique(pa.concat_arrays(arrays)).drop_null()
    return kind, common.to_bytes(pa.table({"id": ids}))


def _flat(ids: pa.Array) -> pa.Array:
    return pc.list_flatten(ids) if pa.types.is_list(ids.type) else ids


def _union(group: tuple[str, Iterable[bytes]]) -> tuple[int, tuple[str, bytes]]:
    kind, chunks = group
    table = common.joined(chunks)
    assert table is not None
    return 0, (kind, common.to_bytes(pa.table({"id": pc.unique(table["id"])})))


class _Write(beam.DoFn):
    def __init__(self, output: str, grown: ItemIndex | None, id_type: str) -> None:
        self._output, self._id_type = output, id_type
        self._grown = None if grown is None else (grown.ids, grown.lineage)

    def process(self, group: tuple[int, Iterable[tuple[str, bytes]]]) -> Iterator[None]:
        ids = {kind: common.to_table(data)["id"].to_pylist() for kind, data in group[1]}
        catalogue, log = set(ids.get(_CATALOGUE, [])), set(ids.get(_LOG, []))
        everything = catalogue | log
        if not everything:
            raise TfmmError(
                "No table has an item id that can be read. Expected: at least one. "
                "Received: 0. Look at the item columns of the tables and the schema."
            )
        kept, lineage = self._grown or ([], None)
        canonical = all(map(_canonical, everything.union(kept)))
        id_type = self._id_type if canonical else "string"
        if lineage is None:
            index = ItemIndex.create(catalogue, id_type).extend(log)
        else:
            index = ItemIndex(kept, id_type, lineage).extend(catalogue).extend(log)
        index.save(
            self._output,
            counts={
                "read": len(everything),
                "written": len(everything),
                "dropped": {},
                "only_in_logs": len(log - catalogue),
                "gone": index.rows - 2 - len(everything),
            },
        )
        yield None


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
