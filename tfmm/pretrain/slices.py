"""Retrieval accuracy by a column of the items, or by how often they were bought."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from tfmm.errors import TfmmError
from tfmm.pretrain.ranks import accuracy, recall

# Lower ends of the bands of training pairs.
BANDS = (0, 1, 2, 5, 10, 30, 100)


@dataclass(frozen=True)
class Slice:
    """One line of the table: the queries of one label.

    Attributes:
        label: What the queries' items have in common.
        queries: How many.
        accuracy: Acc@N by N.
        recall: Recall@N by N.
    """

    label: str
    queries: int
    accuracy: dict[int, float]
    recall: dict[int, float]


@dataclass(frozen=True)
class SliceTable:
    """Slices of one column; `print` shows them as a table.

    Attributes:
        column: What the labels are.
        slices: In the order of the labels given.
        total: All queries.
    """

    column: str
    slices: tuple[Slice, ...]
    total: Slice

    def __str__(self) -> str:
        ns = list(self.total.accuracy)
        heads = [self.column, "queries", *(f"Acc@{n}" for n in ns)]
        lines = [heads + [f"Recall@{n}" for n in ns]]
        for part in (*self.slices, self.total):
            values = [*part.accuracy.values(), *part.recall.values()]
            figures = [f"{value:.4f}" for value in values]
            lines.append([part.label, f"{part.queries:,}", *figures])
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        return "\n".join(
            line[0].ljust(widths[0])
            + "".join(
                f"  {cell:>{width}}"
                for cell, width in zip(line[1:], widths[1:], strict=True)
            )
            for line in lines
        )


def slice_table(
    ranks: np.ndarray,
    labels: Sequence[str | float | None],
    column: str = "label",
    k: Sequence[int] = (1, 5),
    order: Sequence[str] | None = None,
) -> SliceTable:
    """Acc@N and Recall@N of the queries of every label.

    Args:
        ranks: float `[Q, A]`, as `answer_ranks` gives them.
        labels: Q texts, one a query, e.g. its item's category; what is empty, `None`
            or NaN becomes `(none)`.
        column: What the labels are, for the head of the table.
        k: The N.
        order: The labels in the table's order; by default the most frequent first.

    Raises:
        TfmmError: If there is not one label a query.

    Example:
        >>> ranks = np.array([[1.0], [3.0], [2.0]])
        >>> print(slice_table(ranks, ["hat", "hat", "shoe"], "category", k=[1, 2]))
        category  queries   Acc@1   Acc@2  Recall@1  Recall@2
        hat             2  0.5000  0.5000    0.5000    0.5000
        shoe            1  0.0000  1.0000    0.0000    1.0000
        all             3  0.3333  0.6667    0.3333    0.6667
    """
    if len(labels) != len(ranks):
        raise TfmmError(
            f"Each query needs one label. Received: {len(labels)} labels of {column!r} "
            f"for {len(ranks)} queries. Give the label of each query's own item."
        )
    names = np.array([_name(label) for label in labels], dtype=object)
    found, counts = np.unique(names.astype(str), return_counts=True)
    by_count = found[np.argsort(-counts, kind="stable")].tolist()
    listed = by_count if order is None else [x for x in order if x in set(by_count)]
    slices = tuple(_slice(name, ranks[names == name], k) for name in listed)
    return SliceTable(column, slices, _slice("all", ranks, k))


def frequency_bands(
    query_items: ArrayLike, train_items: ArrayLike, bands: Sequence[int] = BANDS
) -> list[str]:
    """How often each query's item occurs in the training pairs, as a band.

    Args:
        query_items: int `[Q]`, the item of each query.
        train_items: int `[P]`, the item of each training pair.
        bands: Lower ends of the bands, ascending from 0.

    Returns:
        Q labels, e.g. `"0"`, `"1"`, `"2-4"`, `"100+"`.

    Example:
        >>> frequency_bands([7, 8, 9], [8, 7, 7, 7])
        ['2-4', '1', '0']
    """
    items, counts = np.unique(np.asarray(train_items), return_counts=True)
    table = dict(zip(items.tolist(), counts.tolist(), strict=True))
    names = band_names(bands)
    seen = [table.get(item, 0) for item in np.asarray(query_items).tolist()]
    return [names[i] for i in np.searchsorted(bands, seen, side="right") - 1]


def band_names(bands: Sequence[int] = BANDS) -> list[str]:
    """The bands' labels, ascending: the `order` of their table.

    Example:
        >>> band_names([0, 1, 2, 5])
        ['0', '1', '2-4', '5+']
    """
    if list(bands) != sorted(set(bands)) or not len(bands) or bands[0] != 0:
        raise TfmmError(
            f"`bands` must ascend from 0. Received: {list(bands)}. Try {list(BANDS)}."
        )
    names = [
        str(low) if high == low + 1 else f"{low}-{high - 1}"
        for low, high in pairwise(bands)
    ]
    return [*names, f"{bands[-1]}+"]


def _name(label: str | float | None) -> str:
    # A missing value of pandas or Arrow is NaN, which is not equal to itself.
    missing = label is None or label != label
    return "(none)" if missing else str(label) or "(none)"


def _slice(label: str, ranks: np.ndarray, k: Sequence[int]) -> Slice:
    return Slice(
        label,
        len(ranks),
        {n: accuracy(ranks, n) for n in k},
        {n: recall(ranks, n) for n in k},
    )
