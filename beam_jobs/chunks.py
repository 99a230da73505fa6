"""Columnar chunks: tables as bytes, so that Beam shuffles few large elements."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa


def to_bytes(table: pa.Table) -> bytes:
    """A table as one Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def to_table(data: bytes) -> pa.Table:
    """The inverse of `to_bytes`."""
    return pa.ipc.open_stream(data).read_all()


def joined(chunks: Iterable[bytes]) -> pa.Table | None:
    """Chunks as one table; `None` when there are none."""
    found = [to_table(chunk) for chunk in chunks]
    return pa.concat_tables(found) if found else None


def by_shard(
    table: pa.Table, keys: np.ndarray, shards: int
) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each shard: a row's shard is its key modulo `shards`."""
    shard = keys % shards
    for number in np.unique(shard).tolist():
        yield number, table.filter(pa.array(shard == number))
