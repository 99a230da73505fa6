"""Timelines of Taobao-MM: a user's history once, with one request after it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import numpy as np

from tfmm.datasets.taobao_mm_facts import LABEL
from tfmm.datasets.taobao_mm_files import USER_FEATURES
from tfmm.datasets.taobao_mm_users import UserRows, groups
from tfmm.records.example import Packed, Value, encode, varints
from tfmm.records.index import UNKNOWN_ROW, ItemIndex
from tfmm.records.spec import FIRST_CODE, RequestSpec
from tfmm.records.tfrecord import framed

SHARDS = 16
# High bits: the low ones chose the users.
_SHARD_BITS = 40
_USERS = 256


def write_part(
    folder: Path,
    users: Iterable[UserRows],
    index: ItemIndex,
    spec: RequestSpec,
) -> dict[str, int]:
    """Writes one part's timelines as TFRecord files; returns their counts.

    Args:
        folder: Where the files go.
        users: The part's users.
        index: Gives items their rows; an item it does not know has row 1.
        spec: A user's rows beyond `spec.max_items` are a further request.
    """
    counts: Counter[str] = Counter()
    names = [f"timelines-{i:05d}-of-{SHARDS:05d}.tfrecord" for i in range(SHARDS)]
    with ExitStack() as stack:
        files = [stack.enter_context(open(folder / name, "wb")) for name in names]
        for some in groups(users, _USERS):
            records = _records(some, index, spec, counts)
            for user, record in zip(some, records, strict=True):
                file = files[(user.user >> _SHARD_BITS) % SHARDS]
                file.write(framed(encode(record)))
    names_of_counts = ("timelines", "requests", "impressions", "positives")
    found = {name: counts[name] for name in (*names_of_counts, "unknown_events")}
    return {"written": counts["impressions"], **found}


def _records(
    users: Sequence[UserRows],
    index: ItemIndex,
    spec: RequestSpec,
    counts: Counter[str],
) -> Iterator[dict[str, Value]]:
    """The features of a timeline record for each user."""
    past = _rows_of(index, [user.items for user in users])
    shown = _rows_of(index, [user.shown for user in users])
    for user, events, items in zip(users, past, shown, strict=True):
        length = len(events)
        sizes = _request_sizes(len(items), spec.max_items)
        counts["timelines"] += 1
        counts["requests"] += len(sizes)
        counts["impressions"] += len(items)
        counts["positives"] += int(user.clicked.sum())
        counts["unknown_events"] += int((events == UNKNOWN_ROW).sum())
        yield {
            "user": np.array([user.user]),
            "event_item": events,
            "event_type": _same(length),
            "event_time": _counting(length),
            "request_time": np.full(len(sizes), length),
            "request_start": np.zeros(len(sizes), np.int64),
            "request_cut": np.full(len(sizes), length),
            "request_items": sizes,
            "item": items,
            f"label_{LABEL}": user.clicked.astype(np.float32),
            **_user_features(user),
        }


@lru_cache(maxsize=4096)
def _counting(length: int) -> Packed:
    """The order of events in place of times, which the data set does not have."""
    return Packed(varints(np.arange(length)))


@lru_cache(maxsize=4096)
def _same(length: int) -> Packed:
    return Packed(varints(np.full(length, FIRST_CODE)))


def _user_features(user: UserRows) -> dict[str, Value]:
    pairs = zip(USER_FEATURES, user.features.tolist(), strict=True)
    return {f"user_{name}": [str(x).encode() if x else b""] for name, x in pairs}


def _rows_of(index: ItemIndex, lists: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Catalog rows of several lists of ids, looked up at once."""
    rows = index.rows_of(np.concatenate(lists))
    return np.split(rows, np.cumsum([len(ids) for ids in lists])[:-1])


def _request_sizes(items: int, most: int) -> np.ndarray:
    """How many of a user's rows each of its requests has, all but the last `most`."""
    return np.diff(np.r_[np.arange(0, items, most), items])
