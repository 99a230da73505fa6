"""Exact Recall@k of a retrieval model over all items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfmm.errors import TfmmError


def recall(found: np.ndarray, wanted: Sequence[ArrayLike]) -> float:
    """Mean share of the wanted items that were found; Recall@k for top-k rows.

    Users who want nothing do not count.

    Args:
        found: int catalog rows `[B, k]`.
        wanted: Per user the catalog rows clicked; repeats count once.

    Raises:
        TfmmError: Nobody wants anything, or another number of users.

    Example:
        >>> recall(np.array([[2, 3], [4, 5]]), [[3, 9], [4]])
        0.75
    """
    clicks = [np.unique(np.asarray(rows)) for rows in wanted]
    if len(found) != len(wanted) or not any(rows.size for rows in clicks):
        raise TfmmError(
            "Recall needs users with at least one wanted item. Received: "
            f"{len(wanted)} lists of wanted items for {len(found)} users. "
            "Evaluate on requests with clicks."
        )
    shares = [
        np.isin(rows, top).mean()
        for top, rows in zip(found, clicks, strict=True)
        if rows.size
    ]
    return float(np.mean(shares))


def recall_at(
    model: Any, requests: Iterable[Mapping[str, Any]], ks: Sequence[int] = (10, 100)
) -> dict[str, float]:
    """The share of a request's clicks among the k items retrieved from all.

    Every item of the catalog is a candidate, none is sampled; scores are computed in
    chunks, outside of training. A click on an item that the catalog lacks is a miss.

    Args:
        model: A `tfmm.ranking.RetrievalModel`.
        requests: Batches of `tfmm.data.requests`, such as the test's.
        ks: How many items are retrieved.

    Returns:
        `recall@k` for each k, the mean over requests with a click.

    Raises:
        TfmmError: No request has a click, or a k is below 1.
    """
    from tfmm.ranking import top_k

    _check(ks)
    items, key = model.item_vectors(), f"label_{model.labels[0]}"
    tops, wanted = [], []
    for batch in requests:
        arrays = {name: np.asarray(value) for name, value in batch.items()}
        shown = arrays["item"]
        tops.append(top_k(model.user_vectors(arrays), items, max(ks))[0])
        valid = np.arange(shown.shape[1]) < arrays["n_items"][:, None]
        clicked = valid & (arrays[key] > 0)
        wanted += [rows[hit] for rows, hit in zip(shown, clicked, strict=True)]
    found = np.concatenate(tops) if tops else np.zeros((0, 1), np.int32)
    return {f"recall@{k}": recall(found[:, :k], wanted) for k in ks}


def _check(ks: Sequence[int]) -> None:
    if not ks or min(ks) < 1:
        raise TfmmError(
            "Recall@k needs a k of at least 1. Received: "
            f"ks={list(ks)}. Give some, such as (10, 100)."
        )
