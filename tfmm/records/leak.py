"""No pair of the time after training, and no item of the test, in training."""

import datetime
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest
from tfmm.records.sources import ITEM, SEARCH

# Whole records are read, pictures and all.
_BATCH = 1024
# Milliseconds are so many times coarser than microseconds.
_COARSER = 1000
_NO_TIME = np.iinfo(np.int64).min
# What the audit reads of a pair, and what a record that lacks it means.
_READ = {"time": _NO_TIME, "source": SEARCH, "item": 0, "query_item": 0}
Columns = dict[str, np.ndarray]


def check_pairs(
    folder: str | Path, first_test: int, test: str | Path | None = None
) -> int:
    """Refuses training pairs that are the test's, or of which nobody can tell.

    A pair of an item with itself needs no time: what is kept for the test of such
    pairs are items, with all that a shopper cannot tell from them.

    Args:
        folder: Pair records, with their manifest, whoever wrote them.
        first_test: The first moment of the test, in microseconds since 1970.
        test: The test's pair records, of the same item index; without them, pairs of
            items with themselves are judged by their time alone, where they have one.

    Returns:
        How many pairs with a time there are.

    Raises:
        TfmmError: If some are of that moment or later, lack a time, or are of an item
            whose pair with itself is in the test; it says how many, and when. If all
            times are in seconds or milliseconds, which would pass for 1970.

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
    if test is not None:
        check_items(folder, test)
    times = _in_microseconds(_judged(folder), first_test, folder)
    chunks = ((some, some >= first_test) for some in times)
    expected = f"searches before {moment(first_test)}"
    return refuse_tested(chunks, expected, f"`{folder}`")


def check_items(folder: str | Path, test: str | Path) -> None:
    """Refuses training pairs of items with themselves that are in the test.

    The test keeps whole groups of items, so that the items tell their groups.

    Args:
        folder: Pair records, with their manifest.
        test: The test's, of the same item index.

    Raises:
        TfmmError: If there are such pairs; it says how many.
    """
    held_out = _items_with_themselves(test)
    own = _items_with_themselves(folder)
    tested = np.isin(own, held_out)
    if tested.any():
        raise TfmmError(
            f"`{folder}` trains on items that are to be tested. Expected: no pair of "
            f"an item with itself that is in `{test}` too. Received: "
            f"{int(tested.sum()):,} of {len(own):,} such pairs, of "
            f"{len(np.unique(own[tested])):,} of {len(np.unique(held_out)):,} items "
            "kept for the test. Leave them out of training."
        )


def refuse_tested(
    chunks: Iterable[tuple[np.ndarray, np.ndarray]], expected: str, what: str
) -> int:
    """Refuses training searches of the test; returns how many searches there are.

    Args:
        chunks: int64 `[n]` in microseconds, and bool `[n]`: which are the test's.
        expected: Which searches may train, for the error message.
        what: What holds them, for the error message.

    Raises:
        TfmmError: If any is the test's; it says how many and when.
    """
    seen, late, first, last = 0, 0, np.iinfo(np.int64).max, np.iinfo(np.int64).min
    for times, tested in chunks:
        seen += len(times)
        late += int(tested.sum())
        first = min(first, int(times.min(initial=first, where=tested)))
        last = max(last, int(times.max(initial=last, where=tested)))
    if late:
        raise TfmmError(
            f"{what} trains on what is to be tested. Expected: {expected}, where "
            f"training ends by the split. Received: {late:,} of {seen:,} that are the "
            f"test's, from {moment(first)} to {moment(last)}. Move them to the test, "
            "leave them out, or set the schema's `split` after them."
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


def _judged(folder: str | Path) -> Iterator[np.ndarray]:
    """The times of all pairs that have one; refuses pairs that lack theirs."""
    seen = timeless = 0
    for pairs in _columns(folder):
        time, own = pairs["time"], _with_itself(pairs)
        seen += len(time)
        timeless += int(((time == _NO_TIME) & ~own).sum())
        # The job gives pairs of items with themselves the time 0.
        yield time[(time != _NO_TIME) & ~(own & (time == 0))]
    if timeless:
        raise TfmmError(
            f"`{folder}` has pairs of which nobody can tell whether they are the "
            "test's. Expected: a `time` in microseconds since 1970 in every pair but "
            f"those of an item with itself. Received: {timeless:,} of {seen:,} pairs "
            "without one. Write their times, or leave them out."
        )


def _in_microseconds(
    chunks: Iterable[np.ndarray], first_test: int, folder: str | Path
) -> Iterator[np.ndarray]:
    """The times as they are; refuses those that are all of another unit."""
    newest = 0
    for times in chunks:
        newest = int(times.max(initial=newest))
        yield times
    if 0 < newest <= first_test // _COARSER:
        raise TfmmError(
            f"The times of `{folder}` are not microseconds since 1970. Expected: "
            f"searches up to about {moment(first_test)}. Received: times up to "
            f"{newest}, which is {moment(newest)}. Write the pairs with times in "
            "microseconds."
        )


def _items_with_themselves(folder: str | Path) -> np.ndarray:
    """int64 `[P]`: the items of the pairs of items with themselves."""
    found = [pairs["item"][_with_itself(pairs)] for pairs in _columns(folder)]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _with_itself(pairs: Columns) -> np.ndarray:
    return (pairs["source"] == ITEM) & (pairs["query_item"] == pairs["item"])


def _columns(folder: str | Path) -> Iterator[Columns]:
    """What the audit reads of the pairs, many at a time; never their pictures."""
    import tensorflow as tf

    features = {
        name: tf.io.FixedLenFeature([], tf.int64, default)
        for name, default in _READ.items()
    }
    names = sorted(read_manifest(folder, kind="pairs")["files"])
    files = [str(Path(folder) / x) for x in names if x.endswith(".tfrecord")]
    if not files:
        return
    records = tf.data.TFRecordDataset(files).batch(_BATCH)
    try:
        parsed = records.map(lambda some: tf.io.parse_example(some, features))
        yield from parsed.as_numpy_iterator()
    except tf.errors.OpError as error:
        raise TfmmError(
            f"`{folder}` holds no readable pair records. Received: {error.message}. "
            "Run the stage that wrote them again."
        ) from error
