"""Hashes of texts, pictures and lists, which never depend on the process."""

import hashlib

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.columns import flat
from tfmm.identity import user_keys

NOTHING = 0


def of_values(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """63 bits for every text or bytes, int64 `[n]`; 0 where there are none.

    Example:
        >>> of_values(pa.array(["a", "", None, "a"]))[1:3].tolist()
        [0, 0]
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    encoded = values.dictionary_encode()
    known = [_of_value(value) for value in encoded.dictionary.to_pylist()]
    places = encoded.indices.fill_null(len(known)).to_numpy()
    return np.array([*known, NOTHING], np.int64)[places]


def keyed(ids: pa.ChunkedArray, secret: bytes) -> np.ndarray:
    """`tfmm.identity.user_keys` of a column of ids, each distinct one hashed once.

    Args:
        ids: Texts `[n]`, none missing.
        secret: Key of the hashes.

    Returns:
        int64 `[n]`.
    """
    encoded = ids.combine_chunks().dictionary_encode()
    keys = user_keys(encoded.dictionary.to_pylist(), secret)
    return keys[encoded.indices.to_numpy()]


def of_lists(lists: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """63 bits for every list of integers, int64 `[n]`, whatever its order.

    Example:
        >>> one, other = of_lists(pa.array([[3, 1], [1, 3]]))
        >>> bool(one == other)
        True
    """
    owner, values = flat(lists)
    sums = np.r_[np.uint64(0), np.cumsum(mixed(values.to_numpy()))]
    ends = np.searchsorted(owner, np.arange(len(lists) + 1))
    return _positive(mixed(sums[ends[1:]] - sums[ends[:-1]]))


def combined(*columns: np.ndarray) -> np.ndarray:
    """63 bits for the rows of several columns of integers: int64 `[n]`."""
    found = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        found = mixed(found ^ mixed(column))
    return _positive(found)


def mixed(values: np.ndarray) -> np.ndarray:
    """uint64 that look random, the same for the same integers (splitmix64).

    Args:
        values: Integers `[n]`.
    """
    x = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))


def _of_value(value: str | bytes) -> int:
    data = value.encode() if isinstance(value, str) else value
    if not data:
        return NOTHING
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest()) >> 1


def _positive(values: np.ndarray) -> np.ndarray:
    return (values.astype(np.uint64) >> np.uint64(1)).astype(np.int64)
