"""Columnar chunks: tables as bytes, so that Beam shuffles few large elements."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa


def to_bytes(table: pa.Table, compression: str | None = None) -> bytes:
    """A table as one Arrow IPC stream; `"lz4"` for what a runner keeps or sends."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def to_table(data: bytes) -> pa.Table:
    """The inverse of `to_bytes`."""
    return pa.ipc.open_stream(data).read_all()


def joined(chunks: Iterable[bytes]) -> pa.Table | None:
    """Chunks as one table; `None` when there are none."""
    found = [to_table(chunk) for chunk in chunks]
    return pa.concat_tables(found) if found else None


def gathered(pieces: Iterable[bytes], size: int = 1 << 20) -> Iterator[bytes]:
    """The same bytes in pieces of about a size.

    Example:
        >>> list(gathered([b"a", b"bc", b"d"], size=2))
        [b'abc', b'd']
    """
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= size:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def by_shard(
    table: pa.Table, keys: np.ndarray, shards: int
) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each shard: a row's shard is its key modulo `shards`."""
    # Small integers are sorted by counting.
    shard = (keys % shards).astype(np.min_scalar_type(shards))
    order = np.argsort(shard, kind="stable")
    table = table.take(pa.array(order))
    numbers, firsts = np.unique(shard[order], return_index=True)
    sizes = np.diff(firsts, append=len(shard))
    for number, first, size in zip(numbers, firsts, sizes, strict=True):
        yield int(number), table.slice(first, size)


def batches(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Some rows at a time, at most so many unless one `source` has more.

    Args:
        table: Rows of one `source` lie together; they are never divided.
        rows: Most rows.

    Example:
        >>> table = pa.table({"source": [1, 2, 2, 3]})
        >>> [batch["source"].to_pylist() for batch in batches(table, 2)]
        [[1], [2, 2], [3]]
    """
    source = table["source"].to_numpy()
    firsts = np.flatnonzero(np.r_[True, source[1:] != source[:-1]][: len(source)])
    ends = np.append(firsts[1:], len(source))
    start = 0
    while start < len(source):
        fitting = int(np.searchsorted(ends, start + rows, "right")) - 1
        end = int(ends[max(fitting, int(np.searchsorted(firsts, start)))])
        yield table.slice(start, end - start)
        start = end
