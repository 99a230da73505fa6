"""tf.train.Example without TensorFlow: the few bytes of protobuf that records need."""

from collections.abc import Mapping, Sequence

import numpy as np


class Packed(bytes):
    """Integers as `varints` packs them, for values that many records share."""


Value = Sequence[bytes] | np.ndarray | Packed

_VARINT, _BYTES = 0, 2


def encode(features: Mapping[str, Value]) -> bytes:
    """Serializes one tf.train.Example, features in the mapping's order.

    Args:
        features: Name -> list of bytes, integer array (or `Packed`) or float32 array.

    Example:
        >>> record = encode({"row": np.array([7]), "title": [b"red shoe"]})
        >>> {name: list(value) for name, value in decode(record).items()}
        {'row': [7], 'title': [b'red shoe']}
    """
    entries = b"".join(
        field(1, field(1, name.encode()) + field(2, _feature(value)))
        for name, value in features.items()
    )
    return field(1, entries)


def decode(record: bytes) -> dict[str, list]:
    """The features of a serialized tf.train.Example as plain Python lists."""
    found: dict[str, list] = {}
    for _, features in _fields(record):
        for _, entry in _fields(features):
            name, value = b"", b""
            for number, content in _fields(entry):
                name, value = (content, value) if number == 1 else (name, content)
            found[name.decode()] = _values(value)
    return found


def varints(values: np.ndarray) -> bytes:
    """Integers as packed protobuf varints; negative ones take ten bytes.

    Args:
        values: Integer array `[n]`.

    Example:
        >>> varints(np.array([1, 300])).hex()
        '01ac02'
    """
    left = values.astype(np.int64).astype(np.uint64)
    if len(left) == 0:
        return b""
    groups = np.empty((len(left), 10), np.uint8)
    used = np.ones((len(left), 10), bool)
    for place in range(10):
        groups[:, place] = (left & np.uint64(0x7F)).astype(np.uint8)
        left = left >> np.uint64(7)
        if place < 9:
            more = left != 0
            groups[:, place] |= more.astype(np.uint8) << 7
            used[:, place + 1] = more
        if not left.any():
            return groups[:, : place + 1][used[:, : place + 1]].tobytes()
    return groups[used].tobytes()


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    return bytes([number << 3 | _BYTES]) + _varint(len(content)) + content


def _feature(value: Value) -> bytes:
    if isinstance(value, Packed):
        return field(3, field(1, value) if value else b"")
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f":
            packed = value.astype("<f4").tobytes()
            return field(2, field(1, packed) if packed else b"")
        packed = varints(value)
        return field(3, field(1, packed) if packed else b"")
    return field(1, b"".join(field(1, item) for item in value))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Number and content of a message's length-delimited fields."""
    found, place = [], 0
    while place < len(message):
        tag, place = _read_varint(message, place)
        if tag & 7 != _BYTES:
            raise ValueError(f"Unexpected wire type {tag & 7} in a tf.train.Example.")
        size, place = _read_varint(message, place)
        found.append((tag >> 3, message[place : place + size]))
        place += size
    return found


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _values(feature: bytes) -> list:
    for kind, content in _fields(feature):
        items = [item for _, item in _fields(content)]
        if kind == 1:
            return items
        packed = b"".join(items)
        if kind == 2:
            return np.frombuffer(packed, "<f4").tolist()
        return _integers(packed)
    return []


def _integers(packed: bytes) -> list[int]:
    """Packed varints; all at once, since timelines hold thousands of them."""
    data = np.frombuffer(packed, np.uint8)
    ends = np.flatnonzero(data < 0x80)
    starts = np.r_[0, ends[:-1] + 1] if len(ends) else ends
    values = np.zeros(len(ends), np.uint64)
    for place in range(int((ends - starts).max(initial=-1)) + 1):
        within = starts + place <= ends
        part = data[starts[within] + place].astype(np.uint64) & np.uint64(0x7F)
        values[within] |= part << np.uint64(7 * place)
    return values.view(np.int64).tolist()
