"""Columns of integers and of lists of them, as numpy sees them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfmm.records.ragged import Ragged, Texts

# Products of fewer values than these cannot overflow.
_NARROW, _WIDEST = 1 << 31, 1 << 62


def ints(table: pa.Table, name: str) -> np.ndarray:
    """A column of integers without nulls: int64 `[n]`."""
    return table[name].to_numpy().astype(np.int64, copy=False)


def flat(lists: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Whose list each value is in, int64 `[v]`, and the values; null is empty.

    Example:
        >>> owner, values = flat(pa.array([[7, 8], None, [9]]))
        >>> owner.tolist(), values.to_pylist()
        ([0, 0, 2], [7, 8, 9])
    """
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    return np.repeat(np.arange(len(lists)), lengths), pc.list_flatten(lists)


def feature(column: pa.Array) -> Ragged:
    """A column as the feature of records: texts, bytes, integers or lists of them.

    Example:
        >>> feature(pa.array([[7, 8], []])).offsets.tolist()
        [0, 2, 2]
    """
    if pa.types.is_list(column.type):
        lengths = pc.list_value_length(column).to_numpy()
        values = pc.list_flatten(column).to_numpy()
        return Ragged(values, np.r_[0, np.cumsum(lengths)])
    each = np.arange(len(column) + 1)
    if pa.types.is_integer(column.type):
        return Ragged(column.to_numpy(), each)
    _, bounds, data = column.buffers()
    part = slice(column.offset, column.offset + len(column) + 1)
    starts = np.frombuffer(bounds, np.int32)[part].astype(np.int64)
    return Ragged(Texts(np.frombuffer(data or b"", np.uint8), starts), each)


def lists(owner: np.ndarray, values: np.ndarray, size: int) -> pa.Array:
    """The inverse of `flat`, without nulls.

    Args:
        owner: int64 `[v]`, ascending.
        values: int64 `[v]`.
        size: How many lists.

    Example:
        >>> lists(np.array([0, 0, 2]), np.array([7, 8, 9]), 3).to_pylist()
        [[7, 8], [], [9]]
    """
    offsets = np.searchsorted(owner, np.arange(size + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


def codes(*columns: np.ndarray) -> np.ndarray:
    """Integers for the rows of several columns, in the rows' own order.

    Args:
        *columns: `[n]` each, integers or booleans.

    Returns:
        int64 `[n]`, none negative: equal for equal rows alone, ascending with the
        first column, then the second and so on.

    Example:
        >>> codes(np.array([9, 5, 9, 5]), np.array([1, 2, 0, 2])).tolist()
        [13, 2, 12, 2]
    """
    found, width = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        part, size = _narrow(column)
        if width * size >= _WIDEST:
            found, width = _dense(found)
        found, width = found * size + part, width * size
    return found


def _narrow(column: np.ndarray) -> tuple[np.ndarray, int]:
    """Integers from 0 in the column's order, and how many there may be."""
    column = column.astype(np.int64, copy=False)
    least = int(column.min()) if len(column) else 0
    most = int(column.max(initial=least))
    if most - least < _NARROW:
        return column - least, most - least + 1
    return _dense(column)


def _dense(column: np.ndarray) -> tuple[np.ndarray, int]:
    values, places = np.unique(column, return_inverse=True)
    return places, len(values)


def ranks(*columns: np.ndarray) -> np.ndarray:
    """The place of every row among those with the same value of the first column.

    Args:
        *columns: `[n]` each: the group, then what orders its rows.

    Returns:
        int64 `[n]` from 0 on.

    Example:
        >>> ranks(np.array([1, 1, 2]), np.array([30, 20, 10])).tolist()
        [1, 0, 0]
    """
    order = np.lexsort(columns[::-1])
    group = columns[0][order]
    found = np.empty(len(group), np.int64)
    found[order] = np.arange(len(group)) - np.searchsorted(group, group)
    return found
