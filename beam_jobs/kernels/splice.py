"""Puts changed records among those that stay, without reading what stays."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_AROUND = 16  # Length and two checksums around every record.
_PIECE = 8 << 20


@dataclass(frozen=True)
class Places:
    """Where every user's record ends in a file of timelines.

    Args:
        users: int64 `[n]`, ascending.
        ends: int64 `[n]`, bytes.
    """

    users: np.ndarray
    ends: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """Where every user's record starts: int64 `[n]`."""
        return np.r_[0, self.ends[:-1]].astype(np.int64)[: len(self.ends)]

    def find(self, users: np.ndarray) -> np.ndarray:
        """Places of those users that have a record, ascending: int64 `[n]`."""
        return np.flatnonzero(np.isin(self.users, users))


def record_ends(data: bytes) -> np.ndarray:
    """Where the framed records of a file end: int64 `[n]`."""
    ends, at = [], 0
    while at < len(data):
        at += struct.unpack_from("<Q", data, at)[0] + _AROUND
        ends.append(at)
    return np.array(ends, np.int64)


@dataclass(frozen=True)
class Spliced:
    """A new file as pieces of an old one and of new records, in the order of users.

    Args:
        places: Of the new file.
        pieces: int64 `[p, 3]`: source (0 the old file, 1 the new records), first byte,
            number of bytes.
    """

    places: Places
    pieces: np.ndarray

    def reads(self) -> Iterator[tuple[int, int, int]]:
        """The pieces, none longer than a few MiB."""
        for source, start, size in self.pieces.tolist():
            for at in range(start, start + size, _PIECE):
                yield source, at, min(_PIECE, start + size - at)


def splice(old: Places, new: Places, changed: np.ndarray) -> Spliced:
    """Plans a file: the new records in the place of all old ones of changed users.

    Args:
        old: Places of the file that stands.
        new: Places of the new records; of changed users only.
        changed: int64 `[c]`: users whose old records, if any, are left out.

    Example:
        >>> old = Places(np.array([3, 5, 9]), np.array([10, 30, 60]))
        >>> new = Places(np.array([4, 5]), np.array([7, 15]))
        >>> made = splice(old, new, np.array([4, 5]))
        >>> made.places.users.tolist(), made.places.ends.tolist()
        ([3, 4, 5, 9], [10, 17, 25, 55])
        >>> made.pieces.tolist()
        [[0, 0, 10], [1, 0, 15], [0, 30, 30]]
    """
    stays = ~np.isin(old.users, changed)
    users = np.r_[old.users[stays], new.users]
    starts = np.r_[old.starts[stays], new.starts]
    sizes = np.r_[old.ends[stays], new.ends] - starts
    source = np.repeat([0, 1], [stays.sum(), len(new.users)])
    order = np.argsort(users)
    starts, sizes, source = starts[order], sizes[order], source[order]
    return Spliced(Places(users[order], np.cumsum(sizes)), _runs(source, starts, sizes))


def _runs(source: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Joins pieces that follow each other in one source."""
    if not len(source):
        return np.zeros((0, 3), np.int64)
    ends = starts + sizes
    new = np.r_[True, (source[1:] != source[:-1]) | (starts[1:] != ends[:-1])]
    first = np.flatnonzero(new)
    last = np.r_[first[1:], len(source)] - 1
    return np.stack([source[first], starts[first], ends[last] - starts[first]], 1)
