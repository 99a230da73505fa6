"""Items by how often they occur in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfmm.errors import TfmmError
from tfmm.evaluation.columns import Columns

GROUPS = 8
FIRST_KEPT = 2  # embedding rows below this one are shared by rare and new items


@dataclass(frozen=True)
class ItemGroup:
    """Items of similar frequency.

    Attributes:
        low, high: the fewest and most occurrences in training of its items.
        items: number of distinct items shown.
        impressions: number of impressions of them.
    """

    low: int
    high: int
    items: int
    impressions: int

    @property
    def span(self) -> str:
        """The occurrences in training as one text."""
        return f"{self.low}" if self.low == self.high else f"{self.low}–{self.high}"


def new_items(
    columns: Columns, embedding_row: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Which impressions `[n]` show an item without an embedding row of its own.

    Args:
        columns: impressions.
        embedding_row: int32 `[catalog rows]`.

    Raises:
        TfmmError: impressions of rows beyond the table.
    """
    return _of_items(columns, embedding_row) < FIRST_KEPT


def item_groups(
    columns: Columns,
    train_count: NDArray[np.integer],
    trained: NDArray[np.bool_],
    groups: int = GROUPS,
) -> tuple[tuple[ItemGroup, ...], NDArray[np.int64]]:
    """Groups of about equal impressions, the first of the rarest trained items.

    Items that occur equally often stay together, so a group may be larger than others,
    and there are fewer groups where few frequencies occur.

    Args:
        columns: impressions.
        train_count: int64 `[catalog rows]`, occurrences in training.
        trained: bool `[n]`, the impressions to group.
        groups: how many groups to form at most.

    Returns:
        The groups, and int64 `[n]`: each impression's group, -1 outside `trained`.

    Example:
        >>> item = np.array([2, 2, 3, 4])
        >>> rows = Columns(item, item, item, [0, 1, 0, 1], item / 4, item)
        >>> count = np.array([0, 0, 5, 9, 7])
        >>> found, of_row = item_groups(rows, count, item > 0, groups=2)
        >>> of_row.tolist(), (found[1].low, found[1].high)
        ([0, 0, 1, 1], (7, 9))
    """
    of_row = np.full(len(columns), -1)
    counts = _of_items(columns, train_count)[trained]
    if not len(counts):
        return (), of_row
    values, place, shown = np.unique(counts, return_inverse=True, return_counts=True)
    middle = np.cumsum(shown) - shown / 2
    group = np.floor(groups * middle / len(counts)).astype(np.int64)
    _, group = np.unique(group, return_inverse=True)
    of_row[trained] = group[place]
    found = []
    for number in range(group[-1] + 1):
        mine = of_row == number
        its = values[group == number]
        items = len(np.unique(columns.item[mine]))
        found.append(ItemGroup(int(its[0]), int(its[-1]), items, int(mine.sum())))
    return tuple(found), of_row


def _of_items(columns: Columns, table: NDArray[np.integer]) -> NDArray[np.integer]:
    """A per-item table's values of the impressions' items."""
    if len(columns) and columns.item.max() >= len(table):
        raise TfmmError(
            "The impressions name items beyond the vocabulary's table. Received: row "
            f"{columns.item.max()} of {len(table)}. "
            "Use the vocabularies of the same run."
        )
    return np.asarray(table)[columns.item]
