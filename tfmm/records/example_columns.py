"""The columns of many tf.train.Examples at once: the inverse of `example_batch`."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfmm.errors import TfmmError
from tfmm.records.ragged import Ragged, Texts, stretches
from tfmm.records.tfrecord import masked_crcs

_HEAD, _FOOT = 12, 4
_KINDS = {"bytes": 1, "float32": 2, "int64": 3}
_LONGEST_VARINT = 10


def columns_of(data: bytes, kinds: Mapping[str, str]) -> dict[str, Ragged]:
    """Reads framed records that `framed_examples` wrote.

    Args:
        data: Records as they stand in a file, one after the other.
        kinds: Name -> `"int64"`, `"float32"` or `"bytes"`: all features of every
            record, in their order.

    Returns:
        Name -> the feature in every record.

    Raises:
        TfmmError: If a record is damaged or has other features.

    Example:
        >>> from tfmm.records.example_batch import framed_examples
        >>> rows = Ragged(np.array([7, 8, 9]), np.array([0, 1, 3]))
        >>> made = b"".join(framed_examples({"row": rows}))
        >>> found = columns_of(made, {"row": "int64"})["row"]
        >>> found.values.tolist(), found.offsets.tolist()
        ([7, 8, 9], [0, 1, 3])
    """
    buffer = np.frombuffer(data, np.uint8)
    # A varint that is cut off by the end is read into zeros.
    reader = _Reader(np.r_[buffer, np.zeros(_LONGEST_VARINT, np.uint8)])
    starts, ends = _bounds(buffer, data)
    at, _ = reader.content(starts, 1)
    found = {}
    for name, kind in kinds.items():
        entry, at = reader.content(at, 1)
        value = reader.name(entry, name)
        feature, _ = reader.content(value, 2)
        first, last = reader.content(feature, _KINDS[kind])
        found[name] = reader.values(first, last, kind)
    if (at != ends).any():
        raise _unexpected()
    return found


def single_values(
    records: Sequence[bytes], texts: Sequence[str], integer: str
) -> tuple[dict[str, list[bytes]], np.ndarray]:
    """Reads features of one value, whatever others there are and in which order.

    Args:
        records: Serialized records, not framed.
        texts: Names of features of one text or none.
        integer: Name of a feature of one integer.

    Returns:
        Per text feature its value in every record, empty where there is none; and the
        integers, int64 `[n]`.

    Raises:
        TfmmError: If a record is damaged or a feature has another kind or number of
            values.

    Example:
        >>> from tfmm.records.example import encode
        >>> records = [encode({"title": [b"hat"], "row": np.array([7]), "x": [b""]}),
        ...     encode({"row": np.array([8])})]
        >>> found, rows = single_values(records, ["title"], "row")
        >>> found["title"], rows.tolist()
        ([b'hat', b''], [7, 8])
    """
    data = b"".join([*records, bytes(_LONGEST_VARINT)])
    reader = _Reader(np.frombuffer(data, np.uint8))
    kinds = dict.fromkeys(texts, "bytes") | {integer: "int64"}
    found = reader.named_lists(np.cumsum([0, *map(len, records)]), kinds)
    values = {}
    for name in texts:
        first, last = reader.singles(*found[name])
        bounds = zip(first.tolist(), last.tolist(), strict=True)
        values[name] = [data[start:end] for start, end in bounds]
    first, last = reader.singles(*found[integer])
    integers, end = reader.varint(first)
    if (first == last).any() or (end != last).any():
        raise _unexpected()
    return values, integers


def _bounds(buffer: np.ndarray, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Where the records' contents start and end, their checksums checked."""
    starts, at = [], 0
    while at < len(data):
        starts.append(at)
        at += int.from_bytes(data[at : at + 8], "little") + _HEAD + _FOOT
    frames = np.array([*starts, at], np.int64)
    starts_, ends = frames[:-1] + _HEAD, frames[1:] - _FOOT
    if at != len(data):
        raise _unexpected()
    foot = buffer[ends[:, None] + np.arange(_FOOT)]
    if not np.array_equal(masked_crcs(data, starts_, ends), foot):
        raise _unexpected()
    return starts_, ends


class _Reader:
    """Reads the same field of all records at a time."""

    def __init__(self, buffer: np.ndarray) -> None:
        self._buffer = buffer

    def content(self, at: np.ndarray, field: int) -> tuple[np.ndarray, np.ndarray]:
        """Start and end of the contents of a length-delimited field."""
        tag = self._buffer[np.minimum(at, len(self._buffer) - 1)]
        size, start = self.varint(at + 1)
        if (tag != field << 3 | 2).any() or (size < 0).any():
            raise _unexpected()
        return start, start + size

    def name(self, at: np.ndarray, name: str) -> np.ndarray:
        """The places after a feature's name."""
        start, end = self.content(at, 1)
        if not self.named(start, end, name).all():
            raise _unexpected()
        return end

    def named_lists(
        self, bounds: np.ndarray, kinds: Mapping[str, str]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Where lists of values start and end; nowhere in records that lack them.

        Args:
            bounds: Where the records start, and the last one ends: int64 `[n + 1]`.
            kinds: The features.
        """
        at, ends = bounds[1:].copy(), bounds[1:]
        filled = np.flatnonzero(np.diff(bounds))
        at[filled], stop = self.content(bounds[filled], 1)
        self._check_ends(stop, ends[filled])
        found = {name: (np.zeros_like(at), np.zeros_like(at)) for name in kinds}
        while len(left := np.flatnonzero(at < ends)):  # One feature of each record.
            entry, at[left] = self.content(at[left], 1)
            start, end = self.content(entry, 1)
            value, stop = self.content(end, 2)
            self._check_ends(stop, at[left])
            self._check_ends(np.minimum(stop, ends[left]), stop)
            for name, (first, last) in found.items():
                mine = self.named(start, end, name) & (value < stop)
                first[left[mine]], inside = self.content(
                    value[mine], _KINDS[kinds[name]]
                )
                last[left[mine]] = inside
                self._check_ends(inside, stop[mine])
        self._check_ends(at, ends)
        return found

    def singles(
        self, first: np.ndarray, last: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Start and end of the only value of lists; empty where there is none."""
        first, filled = first.copy(), first < last
        first[filled], end = self.content(first[filled], 1)
        self._check_ends(end, last[filled])
        return first, last

    @staticmethod
    def _check_ends(found: np.ndarray, expected: np.ndarray) -> None:
        if (found != expected).any():
            raise _unexpected()

    def named(self, start: np.ndarray, end: np.ndarray, name: str) -> np.ndarray:
        """Which stretches are this name, bool."""
        wanted = np.frombuffer(name.encode(), np.uint8)
        same = end - start == len(wanted)
        places = start[same, None] + np.arange(len(wanted))
        same[same] = (self._buffer[places] == wanted).all(1)
        return same

    def values(self, first: np.ndarray, last: np.ndarray, kind: str) -> Ragged:
        """The values of all lists of a kind."""
        if kind == "bytes":
            return self._texts(first, last)
        filled = first < last
        start, _ = self.content(first[filled], 1)
        first = first.copy()
        first[filled] = start
        packed = self._buffer[stretches(first, last - first)]
        bounds = np.r_[0, np.cumsum(last - first)]
        if kind == "float32":
            return Ragged(packed.view("<f4"), bounds // 4)
        final = packed < 0x80
        return Ragged(_integers(packed, final), np.r_[0, np.cumsum(final)][bounds])

    def _texts(self, first: np.ndarray, last: np.ndarray) -> Ragged:
        owners, starts, sizes = [], [], []
        owner, at = np.arange(len(first)), first
        while len(left := np.flatnonzero(at < last[owner])):  # One text of each list.
            owner = owner[left]
            start, at = self.content(at[left], 1)
            owners.append(owner)
            starts.append(start)
            sizes.append(at - start)
        none = [np.zeros(0, np.int64)]
        order = np.argsort(np.concatenate(owners or none), kind="stable")
        taken = [np.concatenate(parts or none)[order] for parts in (starts, sizes)]
        counts = np.bincount(
            np.concatenate(owners or none).astype(np.int64), minlength=len(first)
        )
        texts = Texts(self._buffer[stretches(*taken)], np.r_[0, np.cumsum(taken[1])])
        return Ragged(texts, np.r_[0, np.cumsum(counts)])

    def varint(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and the place after it."""
        value, left = np.zeros(len(at), np.int64), np.ones(len(at), bool)
        at = at.copy()
        for place in range(_LONGEST_VARINT):
            byte = self._buffer[np.minimum(at, len(self._buffer) - 1)]
            value[left] |= (byte[left] & 0x7F).astype(np.int64) << (7 * place)
            at += left
            left &= byte >= 0x80
            if not left.any():
                return value, at
        raise _unexpected()


def _integers(packed: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Varints end to end as int64."""
    ends = np.flatnonzero(final)
    starts = np.r_[0, ends[:-1] + 1][: len(ends)]
    values = np.zeros(len(ends), np.uint64)
    for place in range(int((ends - starts).max(initial=-1)) + 1):
        within = np.flatnonzero(starts + place <= ends)
        part = packed[starts[within] + place].astype(np.uint64) & np.uint64(0x7F)
        values[within] |= part << np.uint64(7 * place)
    return values.view(np.int64)


def _unexpected() -> TfmmError:
    return TfmmError(
        "Records are damaged, or were written by another version. Expected: the "
        "features that their manifest names, in its order. Run the job that wrote them "
        "again."
    )
