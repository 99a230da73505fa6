"""Nearest-neighbour lines for sheets: what a model finds near what."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tfmm.errors import TfmmError
from tfmm.pretrain.sheets import Cell, SheetRow


def sheet_rows(
    query_vectors: np.ndarray,
    item_vectors: np.ndarray,
    queries: Sequence[Cell],
    items: Sequence[Cell],
    answers: ArrayLike,
    n: int = 6,
    groups: np.ndarray | None = None,
) -> list[SheetRow]:
    """Finds the n nearest items of each query.

    Args:
        query_vectors: float `[Q, d]`, L2-normalised: the queries of the sheet.
        item_vectors: float `[C, d]`, L2-normalised: all candidates.
        queries: Q cells.
        items: C cells; those that `nearest_items` does not name, and that answer no
            query, are not looked at.
        answers: int `[Q]` or `[Q, A]`, places of the items that answer each query, the
            bought one first; -1 fills.
        n: How many neighbours.
        groups: int `[C]`; items of one group are one: the nearest stands for all, and
            is right if an answer is of its group. By default every item is alone.

    Returns:
        Q lines, the cosines as notes.

    Raises:
        TfmmError: If the numbers of vectors, cells and answers disagree.
    """
    scores = _scores(query_vectors, item_vectors)
    answers = np.asarray(answers)
    answers = answers[:, None] if answers.ndim == 1 else answers
    wanted = len(queries), len(items), len(queries), 2
    if (*scores.shape, len(answers), answers.ndim) != wanted:
        raise _disagree(scores, queries, items, answers)
    groups = np.arange(len(items)) if groups is None else np.asarray(groups)
    nearest = nearest_items(query_vectors, item_vectors, n, groups)
    rows = []
    for query, own_and_further, row, places in zip(
        queries, answers, scores, nearest, strict=True
    ):
        own = own_and_further[0]
        right = set(groups[own_and_further[own_and_further >= 0]].tolist())
        found = [
            Cell(
                items[place].title,
                items[place].picture,
                f"{row[place]:.2f}",
                int(groups[place]) in right,
            )
            for place in places
        ]
        bought = Cell(items[own].title, items[own].picture, f"{row[own]:.2f}")
        rows.append(SheetRow(query, bought, found))
    return rows


def nearest_items(
    query_vectors: np.ndarray,
    item_vectors: np.ndarray,
    n: int = 6,
    groups: np.ndarray | None = None,
) -> list[list[int]]:
    """Places of the n nearest items of each query, best first.

    Args:
        query_vectors: float `[Q, d]`, L2-normalised.
        item_vectors: float `[C, d]`, L2-normalised.
        n: How many.
        groups: int `[C]`; the nearest of a group stands for all of it.

    Example:
        >>> nearest_items(np.array([[1, 0]]), np.eye(2), n=1)
        [[0]]
    """
    groups = np.arange(len(item_vectors)) if groups is None else np.asarray(groups)
    return [
        _first_of_groups(np.argsort(-row, kind="stable"), groups, n)
        for row in _scores(query_vectors, item_vectors)
    ]


def _scores(query_vectors: np.ndarray, item_vectors: np.ndarray) -> np.ndarray:
    return np.asarray(query_vectors, np.float32) @ np.asarray(item_vectors).T


def _disagree(
    scores: np.ndarray,
    queries: Sequence[Cell],
    items: Sequence[Cell],
    answers: ArrayLike,
) -> TfmmError:
    return TfmmError(
        "A sheet needs one cell and one answer a query and one cell an item. "
        f"Received: {scores.shape[0]} query vectors, {len(queries)} query cells, "
        f"answers of shape {np.shape(answers)}, {scores.shape[1]} item vectors and "
        f"{len(items)} item cells. Pass the queries of the sheet and all candidates."
    )


def _first_of_groups(order: np.ndarray, groups: np.ndarray, n: int) -> list[int]:
    found: dict[int, int] = {}
    for place in order:
        found.setdefault(int(groups[place]), int(place))
        if len(found) == n:
            break
    return list(found.values())
