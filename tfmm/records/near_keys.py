"""Groups of perceptual hashes that differ in few bits."""

from collections.abc import Iterator, Sequence

import numpy as np

from tfmm.records.disjoint_sets import DisjointSets

_WORD = 64
_ODD = 0x9E3779B97F4A7C15


def near_keys(hashes: Sequence[bytes], max_distance: int) -> list[bytes]:
    """A key for each hash, equal where hashes are near each other, transitively.

    All pairs within the distance are found, without comparing all pairs: of
    `max_distance + 1` bands of bits, two such hashes agree in at least one.

    Args:
        hashes: n hashes of one length, a multiple of 8 bytes; an empty one is near
            to nothing.
        max_distance: Most bits in which near hashes differ.

    Returns:
        Per hash the smallest one of its group; an empty one stays empty.

    Example:
        >>> near_keys([b"hash   c", b"", b"hash   b", b"hash   x"], 1)
        [b'hash   b', b'', b'hash   b', b'hash   x']
    """
    found = sorted(set(hashes) - {b""})
    if not found:
        return list(hashes)
    words = np.frombuffer(b"".join(found), np.uint64).reshape(len(found), -1)
    sets = DisjointSets(len(found))
    for mask in _bands(words.shape[1], max_distance + 1):
        for ones, others in _near_pairs(words, mask, max_distance):
            for one, other in zip(ones.tolist(), others.tolist(), strict=True):
                sets.join(one, other)
    keys = {value: found[sets.root(place)] for place, value in enumerate(found)}
    return [keys.get(value, b"") for value in hashes]


def _bands(words: int, count: int) -> Iterator[np.ndarray]:
    """uint64 `[words]` masks that share out all bits: bit i to band i mod `count`."""
    bits = np.arange(words * _WORD)
    for band in range(count):
        yield np.packbits(bits % count == band).view(np.uint64)


def _near_pairs(
    words: np.ndarray, mask: np.ndarray, max_distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs that agree in a band and are near, in batches of places."""
    # One number for the band; a chance collision is sorted out by the distance.
    odd = np.uint64(_ODD) ** np.arange(1, len(mask) + 1, dtype=np.uint64)
    keys = ((words & mask) * odd).sum(axis=1, dtype=np.uint64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    # Pairs of neighbours in this order, then of second neighbours, and so on, as long
    # as they agree.
    first, step = np.arange(len(keys)), 0
    while True:
        step += 1
        first = first[: np.searchsorted(first, len(keys) - step)]
        first = first[keys[first] == keys[first + step]]
        if not len(first):
            return
        ones, others = order[first], order[first + step]
        near = _distance(words[ones], words[others]) <= max_distance
        yield ones[near], others[near]


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """int64 `[n]`, how many bits differ in `[n, words]`."""
    x = one ^ other
    x -= x >> 1 & 0x5555555555555555
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333)
    x = x + (x >> 4) & 0x0F0F0F0F0F0F0F0F
    return (x * np.uint64(0x0101010101010101) >> 56).sum(axis=1, dtype=np.int64)
