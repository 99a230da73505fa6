"""Anybody's vectors: arrays, .npy files, Parquet files, into catalog rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from tfmm.catalog.quantise import VectorTable, as_matrix, quantise
from tfmm.errors import TfmmError
from tfmm.records.index import UNKNOWN_ROW, ItemIndex

Ids: TypeAlias = Sequence[Any] | NDArray[Any] | pa.Array | str | Path
IdType = Literal["int64", "string"]


def read_vectors(
    ids: Ids | None, matrix: ArrayLike | str | Path, vector_column: str | None = None
) -> tuple[list[str], IdType, NDArray[np.generic]]:
    """Reads ids and vectors from wherever they are.

    Args:
        ids: raw ids, the path of a `.npy` file of them, or, beside a Parquet file, the
            name of its id column (`None`: its only column of integers or text).
        matrix: numbers `[N, d]`, the path of a `.npy` file (memory-mapped), or the path
            of a Parquet file with a column of lists.
        vector_column: the Parquet file's column of vectors. Defaults to its only list.

    Returns:
        Ids as text (integers in decimal), their type, and the matrix `[N, d]`.

    Raises:
        TfmmError: missing or unclear columns, null or repeated ids, lists of different
            lengths, or as many ids as vectors not given.
    """
    if isinstance(matrix, str | Path) and Path(matrix).suffix == ".parquet":
        column, vectors = _from_parquet(Path(matrix), ids, vector_column)
    else:
        vectors = as_matrix(_load(matrix) if isinstance(matrix, str | Path) else matrix)
        if ids is None:
            raise TfmmError(
                "A matrix needs the items' ids. Received: ids=None. "
                "Give one id per row, or a Parquet file with an id column."
            )
        column = _id_array(_load(ids) if isinstance(ids, str | Path) else ids)
    texts, id_type = _as_texts(column)
    if len(texts) != len(vectors):
        raise TfmmError(
            "Every vector needs one id. "
            f"Received: {len(texts)} ids and {len(vectors)} vectors. "
            "Give both in the same order."
        )
    return texts, id_type, vectors


def placed(
    index: ItemIndex, ids: Sequence[str], matrix: NDArray[np.generic]
) -> tuple[VectorTable, dict[str, Any]]:
    """Quantised vectors in the rows of their items, and what became of each.

    Args:
        index: where the rows come from.
        ids: raw ids `[N]`, no id twice.
        matrix: numbers `[N, d]`; zero rows are absent vectors.

    Returns:
        The table `[index.rows, d]` and counts: read, written, and dropped as
        `not_finite`, `unknown_item` or `zero_vector`.

    Raises:
        TfmmError: if no vector can be used.
    """
    rows = index.rows_of(ids)
    finite = np.isfinite(matrix).all(axis=1)
    kept = np.flatnonzero(finite & (rows > UNKNOWN_ROW))
    found = quantise(matrix[kept])
    counts = {
        "read": len(ids),
        "written": int(found.present.sum()),
        "dropped": {
            "not_finite": int((~finite).sum()),
            "unknown_item": int((finite & (rows <= UNKNOWN_ROW)).sum()),
            "zero_vector": int((~found.present).sum()),
        },
    }
    if not counts["written"]:
        raise TfmmError(
            f"No vector can be used. Received: {len(ids)} vectors, dropped "
            f"{counts['dropped']}, ids such as {list(ids[:3])}. "
            "Check that the ids are those of the items table."
        )
    table = VectorTable.empty(index.rows, found.dimension)
    return table.filled(rows[kept], found), counts


def list_matrix(column: pa.Array | pa.ChunkedArray, name: str) -> NDArray[np.generic]:
    """The matrix `[N, d]` of a list column whose lists all have length d."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    lengths = pc.list_value_length(column)
    sizes = pc.unique(lengths).to_pylist()
    if len(sizes) != 1 or not sizes[0]:
        raise TfmmError(
            "Vectors must all have the same length. Received: lengths "
            f"{sorted(s or 0 for s in sizes)[:5]} in column {name!r}. "
            "Leave items without a vector out of the file."
        )
    values = column.flatten()
    if values.null_count:
        raise TfmmError(
            f"Vectors must be complete. Received: {values.null_count} nulls inside "
            f"column {name!r}. Leave these items out of the file."
        )
    return as_matrix(values.to_numpy(zero_copy_only=False).reshape(-1, sizes[0]))


def _from_parquet(
    path: Path, ids: Ids | None, vector_column: str | None
) -> tuple[pa.Array, NDArray[np.generic]]:
    if not path.is_file():
        raise TfmmError(f"There is no file `{path}`. Check the path.")
    try:
        schema = pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise TfmmError(
            f"`{path}` is not a Parquet file. Received: {error}. Write it again."
        ) from error
    vectors = vector_column or _only(path, schema, _is_list, "a list of numbers")
    given = ids is not None and not isinstance(ids, str)
    wanted = [vectors]
    if not given:
        wanted.append(str(ids or _only(path, schema, _is_id, "an item id")))
    missing = [name for name in wanted if name not in schema.names]
    if missing:
        raise TfmmError(
            f"`{path}` has no column {missing[0]!r}. Received: columns "
            f"{schema.names}. Name one of them."
        )
    if not _is_list(schema.field(vectors).type):
        raise TfmmError(
            f"Column {vectors!r} of `{path}` must hold a list of numbers per row. "
            f"Received: {schema.field(vectors).type}. Name another column."
        )
    table = pq.read_table(path, columns=wanted)
    column = _id_array(ids) if given else table[wanted[1]].combine_chunks()
    return column, list_matrix(table[vectors], vectors)


def _only(path: Path, schema: pa.Schema, fits: Any, what: str) -> str:
    found = [field.name for field in schema if fits(field.type)]
    if len(found) != 1:
        raise TfmmError(
            f"`{path}` must have one column of {what}, or its name must be given. "
            f"Received: {found or schema.names}. Name the column."
        )
    return found[0]


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
    )


def _is_id(kind: pa.DataType) -> bool:
    return (
        pa.types.is_integer(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )


def _load(path: str | Path) -> NDArray[np.generic]:
    if Path(path).suffix != ".npy":
        raise TfmmError(
            f"Vectors and ids are read from .npy and .parquet. Received: `{path}`. "
            "Convert the file, or pass arrays."
        )
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise TfmmError(
            f"`{path}` cannot be read. Received: {error}. "
            "Write it with numpy.save from plain numbers or text."
        ) from error


def _id_array(ids: Any) -> pa.Array:
    if isinstance(ids, pa.ChunkedArray):
        return ids.combine_chunks()
    return ids if isinstance(ids, pa.Array) else pa.array(np.asarray(ids))


def _as_texts(ids: pa.Array) -> tuple[list[str], IdType]:
    if not _is_id(ids.type):
        raise TfmmError(
            f"Item ids must be integers or text. Received: {ids.type}. "
            "Convert them first."
        )
    if ids.null_count:
        raise TfmmError(
            f"Every vector needs an id. Received: {ids.null_count} null ids. "
            "Leave these rows out."
        )
    repeated = len(ids) - pc.count_distinct(ids).as_py()
    if repeated:
        counts = pc.value_counts(ids)
        first = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0]
        raise TfmmError(
            f"Every item has one vector. Received: {repeated} repeated ids, "
            f"{first.as_py()!r} among them. Keep one vector per id."
        )
    id_type: IdType = "int64" if pa.types.is_integer(ids.type) else "string"
    return pc.cast(ids, pa.string()).to_pylist(), id_type
