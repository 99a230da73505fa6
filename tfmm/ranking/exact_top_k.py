"""Exact top-k over all items, in chunks, without TensorFlow."""

import numpy as np

from tfmm.errors import TfmmError
from tfmm.records.index import FIRST_ROW

CHUNK_BYTES = 64 << 20


def top_k(
    users: np.ndarray, items: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k items of the largest dot products, exactly, best first.

    Only a chunk of scores of at most 64 MiB exists at a time. Of equal scores the
    lower row comes first.

    Args:
        users: float32 `[B, d]`.
        items: float32 `[rows, d]` by catalog row; rows 0 and 1 are no items.
        k: Items per user; fewer where the catalog has fewer.

    Returns:
        int32 catalog rows `[B, k]` and float32 scores `[B, k]`.

    Raises:
        TfmmError: k below 1, or vectors of different lengths or not finite.

    Example:
        >>> items = np.array([[9.0], [9.0], [1.0], [3.0], [2.0]], "float32")
        >>> top_k(np.ones((1, 1), "float32"), items, 2)[0].tolist()
        [[3, 4]]
    """
    users, items = np.asarray(users, np.float32), np.asarray(items, np.float32)
    _check(users, items, k)
    real = items[FIRST_ROW:]
    k = min(k, len(real))
    size = max(1, CHUNK_BYTES // (4 * max(1, len(real))))
    starts = range(0, len(users), size)
    parts = [_best(users[start : start + size] @ real.T, k) for start in starts]
    if not parts:
        return np.zeros((0, k), np.int32), np.zeros((0, k), np.float32)
    rows, scores = map(np.concatenate, zip(*parts, strict=True))
    return (rows + FIRST_ROW).astype(np.int32), scores


def _best(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    # The k-th largest score decides; ties at it are settled by row afterwards.
    width = scores.shape[1]
    least = np.partition(scores, width - k, axis=1)[:, width - k, None]
    above, at = scores > least, scores == least
    room = k - above.sum(1, keepdims=True)
    chosen = above | (at & (np.cumsum(at, axis=1) <= room))
    rows = np.nonzero(chosen)[1].reshape(len(scores), k)
    values = np.take_along_axis(scores, rows, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return (
        np.take_along_axis(rows, order, axis=1),
        np.take_along_axis(values, order, axis=1),
    )


def _check(users: np.ndarray, items: np.ndarray, k: int) -> None:
    if k < 1 or len(items) <= FIRST_ROW:
        raise TfmmError(
            "Top-k needs a k of at least 1 and at least one item. Received: "
            f"k={k}, {max(0, len(items) - FIRST_ROW)} items."
        )
    if users.ndim != 2 or users.shape[1:] != items.shape[1:]:
        raise TfmmError(
            "Users and items need vectors of one length. Received: "
            f"{users.shape} and {items.shape}. Take both from one model."
        )
    if not (np.isfinite(users).all() and np.isfinite(items).all()):
        raise TfmmError(
            "Vectors must be finite. Received: NaN or infinite numbers. Lower the "
            "learning rate."
        )
