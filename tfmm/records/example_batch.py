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
    """Byte strings, k in each of n rows: the `sizes` bytes of `data` from `starts`."""

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
    """Records from the inside out: lists, their kinds, names, entries, the whole."""
    kinds = np.array([_kind(column) for column in features.values()])
    contents = [_content(column) for column in features.values()]
    size = np.hstack([content.sizes for content in contents])
    packed = _head(b"\n", size, (kinds != _TEXTS) & (size > 0))
    size = packed.sizes + size
    listed = _head((kinds << 3 | 2).astype(np.uint8)[:, None], size)
    size = listed.sizes + size
    value = _head(b"\x12", size)
    name = _names(features, len(size))
    size = name.sizes + value.sizes + size
    entry = _head(b"\n", size)
    size = (entry.sizes + size).sum(1, keepdims=True)
    record = _head(b"\n", size)
    frame = _framing((record.sizes + size)[:, 0])
    laid = [(slice(0, 1), frame), (slice(1, 2), record)]
    heads = (entry, name, value, listed, packed)
    step = len(heads) + 1
    laid += [(slice(2 + i, -1, step), head) for i, head in enumerate(heads)]
    for last, content in enumerate(contents, 1):
        laid.append((slice(1 + step * last, 2 + step * last), content))
    laid.append((slice(-1, None), _blank(len(size))))
    data, bounds = _joined(laid)
    crcs = masked_crcs(data.tobytes(), bounds[:-1] + _HEAD, bounds[1:] - _FOOT)
    data[bounds[1:, None] - np.arange(_FOOT, 0, -1)] = crcs
    return data.tobytes()


def _framing(lengths: np.ndarray) -> _Pieces:
    """Every record's length and its checksum."""
    distinct, place = np.unique(lengths, return_inverse=True)
    written = distinct.astype("<u8").view(np.uint8).reshape(-1, 8)
    starts = np.arange(len(distinct)) * 8
    crcs = masked_crcs(written.tobytes(), starts, starts + 8)
    data = np.hstack([written, crcs]).ravel()
    starts = place[:, None] * _HEAD
    return _Pieces(data, starts, np.full_like(starts, _HEAD))


def _blank(count: int) -> _Pieces:
    """Room for every record's checksum."""
    none = np.zeros((count, 1), np.int64)
    return _Pieces(np.zeros(_FOOT, np.uint8), none, none + _FOOT)


def _names(features: Mapping[str, Ragged], count: int) -> _Pieces:
    """The features' names, in every record."""
    texts = Texts.of([field(1, name.encode()) for name in features])
    bounds = np.broadcast_to(texts.bounds, (count, len(features) + 1))
    return _Pieces(texts.data, bounds[:, :-1], np.diff(bounds))


def _kind(column: Ragged) -> int:
    if isinstance(column.values, Texts):
        return _TEXTS
    return _FLOATS if column.values.dtype.kind == "f" else _INTEGERS


def _content(column: Ragged) -> _Pieces:
    """Every record's values, `[n, 1]`, as its list has them."""
    values = column.values
    if isinstance(values, Texts):
        starts, sizes = values.bounds[:-1, None], np.diff(values.bounds)[:, None]
        texts = _Pieces(values.data, starts, sizes)
        laid = [(slice(0, 1), _head(b"\n", sizes)), (slice(1, 2), texts)]
        data, bounds = _joined(laid)
    elif values.dtype.kind == "f":
        data = values.astype("<f4").view(np.uint8)
        bounds = np.arange(len(values) + 1) * 4
    else:
        groups, sizes = _varints(values)
        data, bounds = _meant(groups, sizes), np.r_[0, np.cumsum(sizes)]
    ends = bounds[column.offsets]
    return _Pieces(data, ends[:-1, None], np.diff(ends)[:, None])


def _head(
    tag: bytes | np.ndarray, sizes: np.ndarray, wanted: np.ndarray | None = None
) -> _Pieces:
    """A tag and a content's length as a varint for every content; only where wanted.

    Args:
        tag: One byte, or uint8 `[k, 1]`.
        sizes: int64 `[n, k]`.
        wanted: bool `[n, k]`.
    """
    groups, used = _varints(sizes.ravel())
    data = np.empty((*sizes.shape, 1 + groups.shape[1]), np.uint8)
    data[:, :, :1] = np.frombuffer(tag, np.uint8) if isinstance(tag, bytes) else tag
    data[:, :, 1:] = groups.reshape(*sizes.shape, groups.shape[1])
    used = (used + 1).reshape(sizes.shape)
    if wanted is not None:
        used *= wanted
    starts = np.arange(sizes.size).reshape(sizes.shape) * data.shape[2]
    return _Pieces(data.ravel(), starts, used)


def _varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each value as a varint, uint8 `[v, most]`, and how much of it is meant."""
    left = values.astype(np.int64).view(np.uint64)
    most = -(-int(left.max(initial=1)).bit_length() // 7)
    left = left.astype(np.uint32) if most < 5 else left
    groups, sizes = np.empty((len(left), most), np.uint8), np.ones(len(left), np.int64)
    for place in range(most):
        group = left.astype(np.uint8) & 0x7F
        left = left >> left.dtype.type(7)
        more = left != 0
        groups[:, place] = group | more.view(np.uint8) << 7
        sizes += more
    return groups, sizes


def _meant(groups: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The meant bytes of all varints, end to end."""
    meant = np.empty(groups.shape, bool)
    for place in range(groups.shape[1]):
        np.greater(sizes, place, out=meant[:, place])
    return np.compress(meant.ravel(), groups.ravel())


def _joined(laid: Sequence[tuple[slice, _Pieces]]) -> tuple[np.ndarray, np.ndarray]:
    """The strings of every row together: uint8, and the bounds of the rows.

    Args:
        laid: Strings, and where they stand in their row.
    """
    width = sum(part.sizes.shape[1] for _, part in laid)
    starts = np.empty((len(laid[0][1].sizes), width), np.int64)
    sizes, base = np.empty_like(starts), 0
    for columns, part in laid:
        starts[:, columns] = part.starts + base
        sizes[:, columns] = part.sizes
        base += len(part.data)
    data = np.concatenate([part.data for _, part in laid])
    places = stretches(starts.ravel(), sizes.ravel())
    return data[places], np.r_[0, np.cumsum(sizes.sum(1))]
