"""The vectors of a task's test pairs, and the numbers that they give."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfmm.pretrain.collapse import Collapse, collapse
from tfmm.pretrain.ranks import accuracy, answer_ranks, recall


@dataclass(frozen=True, eq=False)
class Embedded:
    """Queries and distinct candidates of one task, from one pass over test pairs.

    Attributes:
        queries: float32 `[Q, d]`, unit vectors.
        items: int32 `[Q]`, the catalog row of each query's own item.
        groups: int32 `[Q]`, that item's group.
        positives: int32 `[Q, P]`, groups of further positives; 0 fills.
        candidates: float32 `[C, d]`, unit vectors of all distinct items of the pairs.
        candidate_items: int32 `[C]`, their catalog rows, ascending.
        candidate_groups: int32 `[C]`.
    """

    queries: np.ndarray
    items: np.ndarray
    groups: np.ndarray
    positives: np.ndarray
    candidates: np.ndarray
    candidate_items: np.ndarray
    candidate_groups: np.ndarray

    @cached_property
    def answers(self) -> np.ndarray:
        """int32 `[Q, 1 + P]`: the groups that answer a query, its own first; -1 fills.

        Further positives that no test pair brought a vector of are left out.
        """
        known = np.isin(self.positives, self.candidate_groups) & (self.positives > 0)
        further = np.where(known, self.positives, -1)
        return np.concatenate([self.groups[:, None], further], axis=1)

    @cached_property
    def ranks(self) -> np.ndarray:
        """float64 `[Q, 1 + P]`, see `answer_ranks`; candidates are groups."""
        return answer_ranks(
            self.queries, self.candidates, self.answers, self.candidate_groups
        )

    def accuracy(self, n: int) -> float:
        """Acc@N (eq. 6)."""
        return accuracy(self.ranks, n)

    def recall(self, n: int) -> float:
        """Recall@N over all answers of a query."""
        return recall(self.ranks, n)

    @cached_property
    def collapse(self) -> Collapse:
        """Whether the vectors still tell items apart."""
        places = np.searchsorted(self.candidate_items, self.items)
        return collapse(self.queries, self.candidates, places)

    def numbers(self, k: Sequence[int] = (1, 5)) -> dict[str, float]:
        """`acc@N`; `recall@N` where a query has several answers; collapse numbers."""
        found = {f"acc@{n}": self.accuracy(n) for n in k}
        if (self.answers[:, 1:] >= 0).any():
            found |= {f"recall@{n}": self.recall(n) for n in k}
        state = self.collapse
        return found | {
            "std": state.std,
            "uniformity": state.uniformity,
            "distinct": state.distinct,
        }
