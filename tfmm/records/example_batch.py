"""Many tf.train.Examples at once: columns in, the bytes of a TFRecord file out."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfmm.errors import TfmmError
from tfmm.records.example import field
from tfmm.records.ragged import Ragged, Texts, stretches
from tfmm.records.tfrecord import masked_crcs

# Values and features made at a time, so that what lies between stays in the cache.
_SLICE = 1 << 16
_HEAD, _FOOT = 12, 4
_TEXTS, _FLOATS, _INTEGERS = 1, 2, 3


class _Pieces(NamedTuple):
    """n byte strings: string `i` is the `sizes[i]` bytes of `data` from `starts[i]`."""

    data: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray


def framed_examples(features: Mapping[str, Ragged]) -> Iterator[bytes]:
    """Serializes many tf.train.Examples, each framed for a TFRecord file.

    The bytes are those of `framed(encode(record))` for one record after the other.

    Args:
        features: Name -> the feature in every record; at least one.

    Yields:
        Framed records, some thousands at a time.

    Raises:
        TfmmError: If the features have different numbers of records.

    Example:
        >>> from tfmm.records.example import encode
        >>> from tfmm.records.tfrecord import framed
        >>> rows = Ragged(np.array([7, 8, 9]), np.array([0, 1, 3]))
        >>> titles = Ragged(Texts.of([b"red shoe"]), np.array([0, 1, 1]))
        >>> made = b"".join(framed_examples({"row": rows, "title": titles}))
        >>> first = framed(encode({"row": np.array([7]), "title": [b"red shoe"]}))
        >>> made == first + framed(encode({"row": np.array([8, 9]), "title": []}))
        True
    """
    lengths = {name: len(column) for name, column in features.items()}
    if len(set(lengths.values())) != 1:
        raise TfmmError(
            "The features of a batch belong to the same records. Expected: one or more "
            f"features of equal length. Received: the lengths {lengths}. Give every "
            "feature offsets for every record."
        )
    for part in _slices([column.offsets for column in features.values()]):
        yield _framed({name: column[part] for name, column in features.items()})


def _slices(offsets: Sequence[np.ndarray]) -> Iterator[slice]:
    """Stretches of records that are small together; at least one record each."""
    values = sum(column - column[0] for column in offsets)
    size = values + np.arange(len(offsets[0])) * len(offsets)
    cuts = np.flatnonzero(np.diff(size[1:] // _SLICE)) + 1
    for first, last in itertools.pairwise([0, *cuts.tolist(), len(size) - 1]):
        if first < last:
            yield slice(first, last)


def _framed(features: Mapping[str, Ragged]) -> bytes:
    entries = [piece for item in features.items() for piece in _entry(*item)]
    record = _field(b"\n", entries)
    head, foot = _heads(_sizes(record)), _blank(len(entries[0].sizes))
    data, bounds = _joined([head, *record, foot])
    crcs = masked_crcs(data.tobytes(), bounds[:-1] + _HEAD, bounds[1:] - _FOOT)
    data[bounds[1:, None] - np.arange(_FOOT, 0, -1)] = crcs
    return data.tobytes()


def _heads(lengths: np.ndarray) -> _Pieces:
    """Every record's length and its checksum."""
    distinct, place = np.unique(lengths, return_inverse=True)
    written = distinct.astype("<u8").view(np.uint8).reshape(-1, 8)
    starts = np.arange(len(distinct)) * 8
    crcs = masked_crcs(written.tobytes(), starts, starts + 8)
    data = np.hstack([written, crcs]).ravel()
    return _Pieces(data, place * _HEAD, np.full(len(place), _HEAD))


def _blank(count: int) -> _Pieces:
    """Room for every record's checksum."""
    none = np.zeros(count, np.int64)
    return _Pieces(np.zeros(_FOOT, np.uint8), none, none + _FOOT)


def _entry(name: str, column: Ragged) -> list[_Pieces]:
    """The feature under its name, in every record."""
    kind, content = _content(column)
    values = [content]
    if kind != _TEXTS:
        values = _field(b"\n", values, content.sizes > 0)
    named = field(1, name.encode()) + b"\x12"
    return _field(b"\n", _field(named, _field(bytes([kind << 3 | 2]), values)))


def _content(column: Ragged) -> tuple[int, _Pieces]:
    """The kind of list, and every record's values in it."""
    values = column.values
    if isinstance(values, Texts):
        texts = _Pieces(values.data, values.bounds[:-1], np.diff(values.bounds))
        kind, (data, bounds) = _TEXTS, _joined(_field(b"\n", [texts]))
    elif values.dtype.kind == "f":
        kind, data = _FLOATS, values.astype("<f4").view(np.uint8)
        bounds = np.arange(len(values) + 1) * 4
    else:
        kind, (groups, sizes) = _INTEGERS, _varints(values)
        data = groups[np.arange(groups.shape[1]) < sizes[:, None]]
        bounds = np.r_[0, np.cumsum(sizes)]
    ends = bounds[column.offsets]
    return kind, _Pieces(data, ends[:-1], np.diff(ends))


def _field(
    lead: bytes, content: list[_Pieces], wanted: np.ndarray | None = None
) -> list[_Pieces]:
    """The content with its length, and a constant, before it; only where wanted."""
    groups, sizes = _varints(_sizes(content))
    before = np.frombuffer(lead, np.uint8)[None].repeat(len(sizes), 0)
    data = np.hstack([before, groups])
    sizes = (sizes + len(lead)) * (True if wanted is None else wanted)
    head = _Pieces(data.ravel(), np.arange(len(data)) * data.shape[1], sizes)
    return [head, *content]


def _sizes(pieces: list[_Pieces]) -> np.ndarray:
    return np.sum([part.sizes for part in pieces], axis=0)


def _varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each value as a varint, uint8 `[v, most]`, and how much of it is meant."""
    left = values.astype(np.int64).view(np.uint64)
    sizes = np.ones(len(left), np.int64)
    for place in range(1, 10):
        longer = left >> np.uint64(7 * place) != 0
        if not longer.any():
            break
        sizes += longer
    groups = np.empty((len(left), int(sizes.max(initial=1))), np.uint8)
    for place in range(groups.shape[1]):
        groups[:, place] = (left >> np.uint64(7 * place)).astype(np.uint8) | 0x80
    groups[np.arange(len(left)), sizes - 1] &= 0x7F
    return groups, sizes


def _joined(pieces: list[_Pieces]) -> tuple[np.ndarray, np.ndarray]:
    """The pieces of every string together: uint8, and the bounds of the strings."""
    data = np.concatenate([part.data for part in pieces])
    first = np.cumsum([0, *(len(part.data) for part in pieces[:-1])])
    starts = np.stack([part.starts for part in pieces], 1) + first
    sizes = np.stack([part.sizes for part in pieces], 1)
    places = stretches(starts.ravel(), sizes.ravel())
    return data[places], np.r_[0, np.cumsum(sizes.sum(1))]
