"""No pair of the time after training in training."""

import datetime
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tfmm.errors import TfmmError
from tfmm.records.example import decode
from tfmm.records.manifest import read_manifest
from tfmm.records.sources import ITEM
from tfmm.records.tfrecord import read_records

_CHUNK = 65_536


def check_pairs(folder: str | Path, first_test: int) -> int:
    """Refuses training pairs of the test's time.

    Pairs of an item with itself have no time and are not looked at.

    Args:
        folder: Pair records, with their manifest, whoever wrote them.
        first_test: The first moment of the test, in microseconds since 1970.

    Returns:
        How many pairs with a time there are.

    Raises:
        TfmmError: If some are of that moment or later; it says how many and when.

    Example:
        >>> import tempfile
        >>> from tfmm.records.example import encode
        >>> from tfmm.records.manifest import write_manifest
        >>> from tfmm.records.tfrecord import write_records
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_records(folder / "a.tfrecord", [encode({"time": np.array([7])})])
        1
        >>> write_manifest(folder, kind="pairs", counts={"written": 1})
        >>> check_pairs(folder, first_test=8)
        1
    """
    return check_times(_times(folder), first_test, f"`{folder}`")


def check_times(chunks: Iterable[np.ndarray], first_test: int, what: str) -> int:
    """The same of times in chunks; returns how many there are.

    Args:
        chunks: int64 `[n]` each, microseconds.
        first_test: The first moment of the test.
        what: What holds them, for the error message.
    """
    seen, late, first, last = 0, 0, np.iinfo(np.int64).max, np.iinfo(np.int64).min
    for times in chunks:
        seen += len(times)
        offending = times[times >= first_test]
        late += len(offending)
        if len(offending):
            first = min(first, int(offending.min()))
            last = max(last, int(offending.max()))
    if late:
        raise TfmmError(
            f"{what} trains on what is to be tested. Expected: searches before "
            f"{moment(first_test)}, where training ends by the split. Received: "
            f"{late:,} of {seen:,} at that moment or later, from {moment(first)} to "
            f"{moment(last)}. Move them to the test, leave them out, or set the "
            "schema's `split` after them."
        )
    return seen


def moment(time: int) -> str:
    """Microseconds since 1970 as a date in UTC.

    Example:
        >>> moment(1_500_000)
        '1970-01-01T00:00:01.500000'
    """
    start = datetime.datetime(1970, 1, 1)
    return (start + datetime.timedelta(microseconds=time)).isoformat()


def _times(folder: str | Path) -> Iterator[np.ndarray]:
    found: list[int] = []
    for name in sorted(read_manifest(folder, kind="pairs")["files"]):
        if not name.endswith(".tfrecord"):
            continue
        for record in read_records(Path(folder) / name):
            pair = decode(record)
            if pair.get("source", [0]) != [ITEM]:
                found += pair.get("time", [])
            if len(found) >= _CHUNK:
                yield np.array(found, np.int64)
                found = []
    yield np.array(found, np.int64)
