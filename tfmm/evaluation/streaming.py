"""Exact GAUC of rows that come in pieces, a user's rows in any of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfmm.errors import TfmmError
from tfmm.evaluation.checks import Weighting, check_weighting, checked
from tfmm.evaluation.metrics import GroupedAuc, user_aucs

_ROW = np.dtype([("user", "<i8"), ("score", "<f8"), ("label", "?")])


class StreamingGauc:
    """GAUC over updates that need neither hold whole users nor come in order.

    An exact AUC needs every score, so each row is kept in 17 bytes: user, score and
    label. Once `rows_in_memory` are held they go to disk, a file for each shard of
    users, dealt by a hash. `result` ranks one shard after the other: a user lies in one
    shard whole, so that the shards' sums add up to the exact value. It needs about 100
    bytes for each row of the largest shard, or of memory while nothing is on disk.

    Args:
        rows_in_memory: rows held before they go to disk. Defaults to a million: 17 MB,
            and three times that while they are written.
        shards: number of files. Defaults to 64.
        folder: where the temporary files go; the system's place when absent. They are
            removed with this object.

    Example:
        >>> state = StreamingGauc()
        >>> state.update([1, 2], [1, 0], [0.9, 0.7])
        >>> state.update([2, 1], [1, 0], [0.2, 0.1])
        >>> state.result()
        GroupedAuc(value=0.5, usable_share=1.0, users=2)
    """

    def __init__(
        self,
        rows_in_memory: int = 1_000_000,
        shards: int = 64,
        folder: str | Path | None = None,
    ) -> None:
        if rows_in_memory < 1 or shards < 1:
            raise TfmmError(
                "A streaming GAUC needs memory and shards. "
                f"Received: rows_in_memory={rows_in_memory}, shards={shards}. "
                "Give numbers above 0."
            )
        self._rows_in_memory, self._shards = rows_in_memory, shards
        self._folder = folder
        self._held: list[NDArray[np.void]] = []
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._count = self._on_disk = 0

    def __len__(self) -> int:
        """Number of rows so far."""
        return self._count

    def update(self, users: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> None:
        """Takes more rows, from none to any number.

        Args:
            users: integers `[n]` of 64 bits, such as keyed hashes.
            labels: `[n]` of 0 and 1.
            scores: `[n]` finite numbers.

        Raises:
            TfmmError: users that are no integers, other labels, NaN, or different
                lengths. Nothing of such an update is kept.
        """
        if not np.size(users) and not np.size(labels) and not np.size(scores):
            return
        positive, values = checked(labels, scores)
        ids = np.asarray(users)
        if ids.shape != positive.shape or ids.dtype.kind not in "iu":
            raise TfmmError(
                "Users must be integers, one for each label. "
                f"Received: {ids.dtype} {ids.shape} for labels {positive.shape}. "
                "Give the keyed hash of each row's user."
            )
        rows = np.empty(len(positive), _ROW)
        rows["user"] = ids.astype(np.int64)
        rows["score"], rows["label"] = values, positive
        self._take(rows)

    def merge(self, other: StreamingGauc) -> None:
        """Takes the rows of another stream, such as another worker's."""
        for rows in other._parts():
            self._take(rows)

    def result(self, weighting: Weighting = "impressions") -> GroupedAuc:
        """The exact GAUC of all rows so far; further updates may follow.

        Args:
            weighting: "impressions" or "uniform", as in `tfmm.evaluation.gauc`.

        Raises:
            TfmmError: no user with both classes, or an unknown weighting.
        """
        check_weighting(weighting)
        total = weight = 0.0
        users = usable = 0
        for rows in self._parts():
            parts = user_aucs(rows["user"], rows["label"], rows["score"])
            even = np.ones(len(parts.aucs))
            weights = parts.impressions if weighting == "impressions" else even
            total += float(weights @ parts.aucs)
            weight += float(weights.sum())
            users += len(parts.aucs)
            usable += int(parts.impressions.sum())
        if not users:
            raise TfmmError(
                "GAUC needs at least one user with both positive and negative labels. "
                f"Received: {self._count} rows, none of such a user. "
                "Evaluate on more rows."
            )
        return GroupedAuc(total / weight, usable / self._count, users)

    def _take(self, rows: NDArray[np.void]) -> None:
        self._count += len(rows)
        self._held.append(rows)
        if self._count - self._on_disk >= self._rows_in_memory:
            self._spill()

    def _parts(self) -> Iterator[NDArray[np.void]]:
        """All rows in pieces that hold whole users."""
        if self._files is None:
            if self._held:
                self._held = [np.concatenate(self._held)]
                yield self._held[0]
            return
        self._spill()
        for path in sorted(Path(self._files.name).iterdir()):
            yield np.fromfile(path, _ROW)

    def _spill(self) -> None:
        """Appends what is held to the shards' files."""
        if self._files is None:
            self._files = tempfile.TemporaryDirectory(dir=self._folder, prefix="gauc-")
        rows = np.concatenate([np.empty(0, _ROW), *self._held])
        self._held, self._on_disk = [], self._count
        shards = _shards(rows["user"], self._shards)
        rows = rows[np.argsort(shards, kind="stable")]
        sizes = np.bincount(shards, minlength=self._shards)
        for shard, part in enumerate(np.split(rows, np.cumsum(sizes)[:-1])):
            if len(part):
                with open(Path(self._files.name) / f"{shard}.rows", "ab") as file:
                    file.write(part.tobytes())


def _shards(users: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Users mixed by a multiplication, so that ids with a pattern spread evenly."""
    mixed = users.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(32)) % np.uint64(count)).astype(np.int64)
