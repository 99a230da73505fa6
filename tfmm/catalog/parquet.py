"""A catalog as one Parquet file, to give away and to read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tfmm.catalog.quantise import VectorTable, quantise
from tfmm.catalog.vector_files import list_matrix
from tfmm.errors import TfmmError
from tfmm.records.index import FIRST_ROW, ItemIndex

if TYPE_CHECKING:
    from tfmm.catalog.catalog import Catalog

_KEY = b"tfmm.catalog"
_COLUMNS = {"float": ["vector"], "int8": ["codes"], "both": ["vector", "codes"]}
_TYPES = {"vector": pa.float32(), "codes": pa.int8()}
_GROUP = 65_536


def write_parquet(catalog: Catalog, path: str | Path, vectors: str) -> None:
    """Writes `item_id`, `modality`, `present` and vectors; see `Catalog.to_parquet`."""
    if vectors not in _COLUMNS:
        raise TfmmError(
            "`vectors` must be 'float', 'int8' or 'both'. "
            f"Received: {vectors!r}. Choose what the reader needs."
        )
    columns = _COLUMNS[vectors]
    schema = pa.schema(
        [("item_id", pa.string()), ("modality", pa.string()), ("present", pa.bool_())]
        + [(column, pa.list_(_TYPES[column])) for column in columns],
        metadata={_KEY: json.dumps(_facts(catalog)).encode()},
    )
    with pq.ParquetWriter(path, schema) as writer:
        for name, table in catalog.modalities.items():
            for start in range(FIRST_ROW, catalog.rows, _GROUP):
                rows = slice(start, min(start + _GROUP, catalog.rows))
                writer.write_table(_lines(catalog, name, table, rows, schema))


def read_parquet(path: str | Path) -> Catalog:
    """Reads what `write_parquet` wrote: the same codes and fingerprint."""
    from tfmm.catalog.catalog import Catalog

    table = pq.read_table(path)
    facts = json.loads((table.schema.metadata or {}).get(_KEY, b"null"))
    if facts is None:
        raise TfmmError(
            f"`{path}` was not written by Catalog.to_parquet. Received: columns "
            f"{table.schema.names}. Read other files with Catalog.from_vectors."
        )
    parts = {
        name: table.filter(pc.equal(table["modality"], name))
        for name in facts["sources"]
    }
    ids = next(iter(parts.values()))["item_id"].to_pylist()
    index = ItemIndex(ids, facts["id_type"], facts["index"]["lineage"])
    index.check(facts["index"], f"`{path}`")
    tables = {
        name: _table(index, part, facts["dimensions"][name])
        for name, part in parts.items()
    }
    return Catalog(index, tables, facts["sources"], facts["counts"])


def _facts(catalog: Catalog) -> dict[str, Any]:
    return {
        "index": catalog.index.stamp(),
        "id_type": catalog.index.id_type,
        "sources": dict(catalog.sources),
        "dimensions": {m: t.dimension for m, t in catalog.modalities.items()},
        "counts": dict(catalog.counts),
    }


def _lines(
    catalog: Catalog, name: str, table: VectorTable, rows: slice, schema: pa.Schema
) -> pa.Table:
    present = np.asarray(table.present[rows])
    codes = np.asarray(table.codes[rows])
    values: dict[str, NDArray[Any]] = {"codes": codes}
    values["vector"] = codes.astype(np.float32) * table.inverse_norm[rows, None]
    n = len(present)
    ids = catalog.index.ids[rows.start - FIRST_ROW : rows.stop - FIRST_ROW]
    arrays = [pa.array(ids, pa.string()), pa.array([name] * n), pa.array(present)]
    arrays += [_lists(values[column], present) for column in schema.names[3:]]
    return pa.Table.from_arrays(arrays, schema=schema)


def _lists(values: NDArray[Any], present: NDArray[np.bool_]) -> pa.Array:
    lengths = np.where(present, values.shape[1], 0)
    offsets = np.r_[0, np.cumsum(lengths)].astype(np.int32)
    flat = pa.array(values[present].reshape(-1))
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=pa.array(~present))


def _table(index: ItemIndex, part: pa.Table, dimension: int) -> VectorTable:
    kept = part.filter(part["present"])
    rows = np.flatnonzero(part["present"].to_numpy()) + FIRST_ROW
    if not len(rows):
        return VectorTable.empty(index.rows, dimension)
    column = "codes" if "codes" in part.schema.names else "vector"
    found = quantise(list_matrix(kept[column], column))
    return VectorTable.empty(index.rows, dimension).filled(rows, found)
