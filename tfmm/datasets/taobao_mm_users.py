"""Users of Taobao-MM one by one: features, history once, all rows of the user."""

import dataclasses
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from tfmm.datasets.taobao_mm_columns import Share, integers, lists, samples
from tfmm.datasets.taobao_mm_files import (
    CATEGORIES,
    HISTORY,
    ITEM,
    LABEL,
    USER,
    USER_FEATURES,
    Files,
    Progress,
    read,
)
from tfmm.datasets.taobao_mm_samples import Samples

# Joined rows and users of 16 kB each, and samples of 17 bytes.
_ROWS, _USERS, _SAMPLES = 2048, 512, 65_536
# Users whose rows may still come; the public files keep a user's rows together.
_WINDOW = 1024


@dataclasses.dataclass
class UserRows:
    """One user's rows of one part.

    Args:
        user: The id.
        features: int64 `[5]`, as `USER_FEATURES`; 0 is missing.
        items: int64 `[T]`, the history, oldest first.
        categories: int64 `[T]`.
        shown: int64 `[M]`, candidates in the order of the files.
        clicked: int8 `[M]`.
    """

    user: int
    features: np.ndarray
    items: np.ndarray
    categories: np.ndarray
    shown: np.ndarray
    clicked: np.ndarray


@dataclasses.dataclass(frozen=True)
class Reading:
    """How users are read.

    Args:
        files: The files.
        share: Which users.
        max_history: Newest events kept of a history.
        scratch: Folder for samples of the raw layout, while they are read.
        progress: Called with what is read, rows done and rows in all.
        window: Users of the joined layout held open at a time.
        rows: Rows of the joined layout read at a time.
    """

    files: Files
    share: Share
    max_history: int
    scratch: Path
    progress: Progress | None = None
    window: int = _WINDOW
    rows: int = _ROWS

    def users(self, part: str, counts: Counter[str]) -> Iterator[UserRows]:
        """All users of a part; what is left out is counted by reason.

        `users:split` counts those that come again after their rows were given.
        """
        found = (self._raw if self.files.users else self._joined)(part, counts)
        seen = array("q")
        for rows in found:
            _clean(rows, self.max_history, counts)
            seen.append(rows.user)
            yield rows
        counts["users:written"] = len(seen)
        distinct = np.unique(np.frombuffer(seen, np.int64))
        counts["users:split"] = len(seen) - len(distinct)

    def _joined(self, part: str, counts: Counter[str]) -> Iterator[UserRows]:
        """Merges a user's rows while no more than `window` others are open."""
        columns = [LABEL, USER, *USER_FEATURES, HISTORY, CATEGORIES, ITEM]
        waiting: OrderedDict[int, UserRows] = OrderedDict()
        for batch in read(self.files.samples[part], columns, self.rows, self.progress):
            for rows in _runs(batch, self.share, counts):
                known = waiting.get(rows.user)
                if known is None:
                    waiting[rows.user] = rows
                    continue
                counts["users:merged_runs"] += 1
                if not np.array_equal(known.items, rows.items):
                    counts["users:history_differs"] += 1
                known.shown = np.concatenate([known.shown, rows.shown])
                known.clicked = np.concatenate([known.clicked, rows.clicked])
                waiting.move_to_end(rows.user)
            while len(waiting) > self.window:
                yield waiting.popitem(last=False)[1]
        yield from waiting.values()

    def _raw(self, part: str, counts: Counter[str]) -> Iterator[UserRows]:
        """Joins users' rows of the samples to users' features."""
        assert self.files.users
        columns = [LABEL, USER, ITEM]
        parts = read(self.files.samples[part], columns, _SAMPLES, self.progress)
        with Samples(self.scratch, parts, self.share, counts) as grouped:
            columns = [USER, *USER_FEATURES, HISTORY, CATEGORIES]
            for batch in read(self.files.users[part], columns, _USERS, self.progress):
                users = integers(batch, USER)
                place, rows = grouped.places(users, counts)
                batch = batch.take(pa.array(rows))
                for found in _user_rows(batch, np.arange(len(rows))):
                    found.shown, found.clicked = grouped.rows(place[found.user])
                    yield found
            grouped.count_left(counts)


def groups(users: Iterable[UserRows], size: int) -> Iterator[list[UserRows]]:
    """So many users at a time; the last group may be smaller."""
    left = iter(users)
    while some := list(islice(left, size)):
        yield some


def _runs(
    batch: pa.RecordBatch, share: Share, counts: Counter[str]
) -> Iterator[UserRows]:
    """Neighbouring rows of one user, with the first one's history."""
    rows, clicked = samples(batch, share, counts)
    users, items = integers(batch, USER)[rows], integers(batch, ITEM)[rows]
    first = np.flatnonzero(np.r_[True, users[1:] != users[:-1]][: len(users)])
    ends = np.r_[first[1:], len(users)]
    found = _user_rows(batch, rows[first])
    for one, start, end in zip(found, first.tolist(), ends.tolist(), strict=True):
        one.shown, one.clicked = items[start:end].copy(), clicked[start:end].copy()
        yield one


def _user_rows(batch: pa.RecordBatch, rows: np.ndarray) -> Iterator[UserRows]:
    """The users of some rows, without candidates; nothing of the batch stays held."""
    place = pa.array(rows)
    items, item_starts = lists(batch.column(HISTORY).take(place))
    categories, starts = lists(batch.column(CATEGORIES).take(place))
    features = np.stack([integers(batch, name)[rows] for name in USER_FEATURES], 1)
    none = np.zeros(0, np.int64)
    for i, user in enumerate(integers(batch, USER)[rows].tolist()):
        yield UserRows(
            user,
            features[i].copy(),
            items[item_starts[i] : item_starts[i + 1]].copy(),
            categories[starts[i] : starts[i + 1]].copy(),
            none,
            none,
        )


def _clean(rows: UserRows, longest: int, counts: Counter[str]) -> None:
    """Leaves out events without an item, and those older than the newest."""
    counts["events:read"] += len(rows.items)
    if len(rows.categories) != len(rows.items):
        counts["users:categories_of_other_length"] += 1
        rows.categories = np.zeros_like(rows.items)
    kept = rows.items != 0
    if not kept.all():
        counts["events:dropped:no_item"] += int((~kept).sum())
        rows.items, rows.categories = rows.items[kept], rows.categories[kept]
    counts["events:dropped:older_than_newest"] += max(0, len(rows.items) - longest)
    rows.items, rows.categories = rows.items[-longest:], rows.categories[-longest:]
    counts["events:written"] += len(rows.items)
    counts["users:without_history"] += not len(rows.items)
