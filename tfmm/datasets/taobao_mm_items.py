"""The items that Taobao-MM's users saw, and what the files say of them."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfmm.datasets.taobao_mm_columns import Share, integers
from tfmm.datasets.taobao_mm_files import (
    ITEM,
    ITEM_FEATURES,
    PARTS,
    USER,
    Files,
    Progress,
    read,
)
from tfmm.records.sorted_ids import SortedIds

_ROWS = 65_536
_PENDING = 4_000_000


def vector_ids(files: Files, progress: Progress | None = None) -> np.ndarray:
    """The distinct ids that have a vector, sorted: int64 `[n]`."""
    batches = read((files.vectors,), [ITEM], _ROWS, progress)
    return np.unique(np.concatenate([_NONE, *(integers(b, ITEM) for b in batches)]))


def targets(
    files: Files, share: Share, counts: Counter[str], progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The distinct items shown to the chosen users, and their features.

    Args:
        files: The files.
        share: Which users.
        counts: Items, and those that no table describes, are counted here.
        progress: Called with what is read, rows done and rows in all.

    Returns:
        ids int64 `[n]`, sorted, and features int64 `[n, 3]` as `ITEM_FEATURES`; 0
        where unknown.
    """
    if files.users:
        ids, _ = _distinct(files, share, (), progress)
        features = np.zeros((len(ids), len(ITEM_FEATURES)), np.int64)
        search, known = SortedIds(ids), np.zeros(len(ids), bool)
        columns = [ITEM, *ITEM_FEATURES]
        for batch in read(files.items, columns, _ROWS, progress):
            place = search.places(integers(batch, ITEM))
            found = np.flatnonzero(place >= 0)
            known[place[found]] = True
            for i, name in enumerate(ITEM_FEATURES):
                features[place[found], i] = integers(batch, name)[found]
    else:
        ids, features = _distinct(files, share, ITEM_FEATURES, progress)
        known = (features != 0).any(axis=1)
    counts["items:shown"] = len(ids)
    counts["items:shown_without_features"] = int((~known).sum())
    return ids, features


_NONE = np.zeros(0, np.int64)


def _distinct(
    files: Files, share: Share, names: tuple[str, ...], progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct items of chosen users with the columns of these names."""
    found = np.zeros((0, 1 + len(names)), np.int64)
    waiting: list[np.ndarray] = []
    paths = [path for part in PARTS for path in files.samples[part]]
    for batch in read(paths, [USER, ITEM, *names], _ROWS, progress):
        users = integers(batch, USER)
        batch = batch.filter(pa.array(share.of(users)))
        batch = batch.filter(pc.not_equal(pc.fill_null(batch.column(ITEM), 0), 0))
        waiting.append(
            _first_of(np.stack([integers(batch, n) for n in (ITEM, *names)], 1))
        )
        if sum(map(len, waiting)) > _PENDING:
            found, waiting = _first_of(np.concatenate([found, *waiting])), []
    found = _first_of(np.concatenate([found, *waiting]))
    return found[:, 0].copy(), found[:, 1:].copy()


def _first_of(rows: np.ndarray) -> np.ndarray:
    """The first row of every item, sorted by item."""
    return rows[np.unique(rows[:, 0], return_index=True)[1]]
