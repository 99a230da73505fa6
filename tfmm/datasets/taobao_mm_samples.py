"""Samples of the raw tables, grouped by user on disk."""

import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from tfmm.datasets.taobao_mm_columns import Share, integers, samples
from tfmm.datasets.taobao_mm_files import ITEM, USER
from tfmm.records.sorted_ids import SortedIds

_ROW = np.dtype([("user", "<i8"), ("item", "<i8"), ("clicked", "i1")])
_BITS = 6


class Samples:
    """The rows of one part by user; only users' ids are held in memory.

    Rows go to 64 files by the leading bits of the user, so that each is sorted alone
    and all follow one another in order. A user's rows keep the order of the table.

    Args:
        scratch: Where the files stand until the `with` block ends.
        batches: Columns `label_0`, `129_1`, `205`.
        share: Which users are taken.
        counts: Rows read, written and dropped are added up here.
    """

    def __init__(
        self,
        scratch: Path,
        batches: Iterable[pa.RecordBatch],
        share: Share,
        counts: Counter[str],
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="samples-", dir=scratch)
        try:
            self._spread(batches, share, counts)
            users, sizes = self._sorted()
        except BaseException:
            self._folder.cleanup()
            raise
        self._search = SortedIds(users)
        self._ends = np.cumsum(sizes)
        self._used = np.zeros(len(users), bool)
        path = self._path("sorted")
        self._rows = np.memmap(path, _ROW, "r") if len(users) else np.zeros(0, _ROW)

    def __enter__(self) -> "Samples":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._rows
        self._folder.cleanup()

    def places(
        self, users: np.ndarray, counts: Counter[str]
    ) -> tuple[dict[int, int], np.ndarray]:
        """Which of some users have rows that were not given yet.

        Args:
            users: int64 `[n]`.
            counts: Users left out are counted here by reason.

        Returns:
            Place by user, for `rows`; and int64 `[m]`, where these users stand.
        """
        place = self._search.places(users)
        counts["users:read"] += len(users)
        counts["users:dropped:without_samples"] += int((place < 0).sum())
        new = np.zeros(len(users), bool)
        new[np.unique(users, return_index=True)[1]] = True
        fresh = (place >= 0) & new
        fresh[fresh] = ~self._used[place[fresh]]
        counts["users:dropped:repeated"] += int(((place >= 0) & ~fresh).sum())
        chosen = np.flatnonzero(fresh)
        self._used[place[chosen]] = True
        pairs = zip(users[chosen].tolist(), place[chosen].tolist(), strict=True)
        return dict(pairs), chosen

    def rows(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Items int64 `[m]` and clicks int8 `[m]` of a user."""
        first = int(self._ends[place - 1]) if place else 0
        found = self._rows[first : int(self._ends[place])]
        return np.array(found["item"]), np.array(found["clicked"])

    def count_left(self, counts: Counter[str]) -> None:
        """Counts the rows of users that no table of users has."""
        sizes = np.diff(self._ends, prepend=0)
        lost = int(sizes[~self._used].sum())
        counts["rows:dropped:without_user_features"] += lost
        counts["rows:written"] -= lost
        places = np.flatnonzero(~self._used).tolist()
        lost_clicks = sum(int(self.rows(place)[1].sum()) for place in places)
        counts["rows:positive"] -= lost_clicks

    def _spread(
        self,
        batches: Iterable[pa.RecordBatch],
        share: Share,
        counts: Counter[str],
    ) -> None:
        paths = [self._path(str(lot)) for lot in range(1 << _BITS)]
        with ExitStack() as stack:
            files = [stack.enter_context(open(path, "wb")) for path in paths]
            for batch in batches:
                rows, clicked = samples(batch, share, counts)
                found = np.empty(len(rows), _ROW)
                found["user"] = integers(batch, USER)[rows]
                found["item"] = integers(batch, ITEM)[rows]
                found["clicked"] = clicked
                lots = (found["user"] >> (64 - _BITS)) + (1 << _BITS - 1)
                for lot in np.unique(lots).tolist():
                    found[lots == lot].tofile(files[lot])

    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """Writes all rows in order; the users and how many rows each has."""
        users, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        with open(self._path("sorted"), "wb") as file:
            for lot in range(1 << _BITS):
                path = self._path(str(lot))
                rows = np.fromfile(path, _ROW)
                path.unlink()
                rows = rows[np.argsort(rows["user"], kind="stable")]
                rows.tofile(file)
                own, size = np.unique(rows["user"], return_counts=True)
                users.append(own)
                sizes.append(size)
        return np.concatenate(users), np.concatenate(sizes)

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / name
