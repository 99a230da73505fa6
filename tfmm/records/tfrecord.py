"""TFRecord files without TensorFlow: length and masked CRC around every record."""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import google_crc32c
import numpy as np

from tfmm.errors import TfmmError

MAX_RECORD_BYTES = 1 << 30
_MASK_DELTA = 0xA282EAD8


def write_records(path: str | Path, records: Iterable[bytes]) -> int:
    """Writes serialized records as one TFRecord file; returns how many.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.tfrecord"
        >>> write_records(path, [b"one", b"two"])
        2
        >>> list(read_records(path))
        [b'one', b'two']
    """
    count = 0
    with open(path, "wb") as file:
        for record in records:
            file.write(framed(record))
            count += 1
    return count


def framed(record: bytes) -> bytes:
    """A record as it stands in a file: its length and checksums around it."""
    length = struct.pack("<Q", len(record))
    return length + _masked_crc(length) + record + _masked_crc(record)


def read_records(path: str | Path) -> Iterator[bytes]:
    """Yields the records of a TFRecord file, each checked by its CRC.

    Raises:
        TfmmError: If the file is truncated or damaged.
    """
    with open(path, "rb") as file:
        yield from records_in(file, path)


def records_in(file: IO[bytes], path: str | Path) -> Iterator[bytes]:
    """Yields the records of an open TFRecord file, each checked by its CRC.

    Args:
        file: The file.
        path: Its name in errors.

    Raises:
        TfmmError: If the file is truncated or damaged.
    """
    while header := file.read(12):
        length = _checked(header[:8], header[8:], path)
        (size,) = struct.unpack("<Q", length)
        if size > MAX_RECORD_BYTES:
            raise TfmmError(f"`{path}` is damaged. Received: a record of {size} bytes.")
        record = file.read(size)
        if len(record) < size:
            raise TfmmError(
                f"`{path}` ends in the middle of a record. Expected: {size} bytes. "
                f"Received: {len(record)}. Run the stage that wrote it again."
            )
        yield _checked(record, file.read(4), path)


def masked_crcs(data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The checksums of stretches of the data, as they stand in a file: uint8 `[n, 4]`.

    Example:
        >>> data = framed(b"one")
        >>> masked_crcs(data, np.array([12]), np.array([15])).tobytes() == data[15:]
        True
    """
    spans = zip(starts.tolist(), ends.tolist(), strict=True)
    crcs = (google_crc32c.value(data[start:end]) for start, end in spans)
    found = np.fromiter(crcs, np.int64, len(starts))
    return _masked(found).astype("<u4").view(np.uint8).reshape(-1, 4)


def _masked_crc(data: bytes) -> bytes:
    return struct.pack("<I", _masked(google_crc32c.value(data)))


def _masked(crc: Any) -> Any:
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _checked(data: bytes, crc: bytes, path: str | Path) -> bytes:
    if _masked_crc(data) != crc:
        raise TfmmError(
            f"`{path}` is damaged: a checksum does not match. "
            "Run the stage that wrote it again."
        )
    return data
