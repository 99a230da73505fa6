"""Columns of a batch of Taobao-MM's rows as arrays."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfmm.datasets.taobao_mm_files import ITEM, LABEL, USER
from tfmm.errors import TfmmError

# Ids are signed 64-bit hashes; without the sign, shares of them are shares of users.
_UNSIGNED = np.int64(2**63 - 1)
BAD = np.int8(-1)


def integers(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """int64 `[rows]`; 0, which the data set leaves for "none", where it is null."""
    column = batch.column(name)
    return (
        pc.fill_null(column, 0).to_numpy() if column.null_count else column.to_numpy()
    )


def lists(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Values of all lists in a row, and where each list starts: `[values]`, `[n + 1]`.

    A null list is an empty one, a null value is 0.
    """
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    starts = np.zeros(len(column) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    values = column.flatten()
    values = pc.fill_null(values, 0) if values.null_count else values
    return values.to_numpy(), starts


def clicks(batch: pa.RecordBatch) -> np.ndarray:
    """int8 `[rows]`: 0 for `[1, 0]`, no click; 1 for `[0, 1]`, a click; else -1.

    Example:
        >>> column = pa.array([[1, 0], [0, 1], [1, 1], None], pa.list_(pa.int8()))
        >>> clicks(pa.record_batch([column], ["label_0"])).tolist()
        [0, 1, -1, -1]
    """
    values, starts = lists(batch.column(LABEL))
    found = np.full(batch.num_rows, BAD)
    pairs = np.flatnonzero(np.diff(starts) == 2)
    first, second = values[starts[pairs]], values[starts[pairs] + 1]
    right = ((first == 1) & (second == 0)) | ((first == 0) & (second == 1))
    found[pairs[right]] = second[right]
    return found


class Share:
    """Which users are taken: `id mod (1 / fraction) = 0`, ids without their sign.

    Args:
        fraction: 1, 0.1, 0.01 or another `1 / n`.

    Raises:
        TfmmError: For another fraction.

    Example:
        >>> Share(0.1).of(np.array([20, 21, -(2**63) + 30, 0])).tolist()
        [True, False, True, False]
    """

    def __init__(self, fraction: float) -> None:
        self.divisor = round(1 / fraction) if 0 < fraction <= 1 else 0
        if not self.divisor or abs(fraction * self.divisor - 1) > 1e-6:
            raise TfmmError(
                "`users_fraction` is 1 divided by a whole number. "
                f"Received: {fraction}. Give 1, 0.1 or 0.01."
            )

    def of(self, users: np.ndarray) -> np.ndarray:
        """bool `[n]`; user 0 is none and never taken."""
        return ((users & _UNSIGNED) % self.divisor == 0) & (users != 0)


def samples(
    batch: pa.RecordBatch, share: Share, counts: Counter[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a batch of samples that are taken, and their clicks.

    Every other row is counted with its reason.

    Returns:
        int64 `[n]` numbers of rows, int8 `[n]` clicks.
    """
    users, items, clicked = integers(batch, USER), integers(batch, ITEM), clicks(batch)
    counts["rows:read"] += len(users)
    left = np.ones(len(users), bool)
    for reason, wrong in (
        ("no_user", users == 0),
        ("other_users", ~share.of(users)),
        ("no_item", items == 0),
        ("label_not_one_hot", clicked == BAD),
    ):
        counts[f"rows:dropped:{reason}"] += int((left & wrong).sum())
        left &= ~wrong
    rows = np.flatnonzero(left)
    counts["rows:written"] += len(rows)
    counts["rows:positive"] += int(clicked[rows].sum())
    return rows, clicked[rows]
