"""Search in a long history: the few behaviours that a candidate has to do with."""

from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer
from tfmm.layers.similarity import cosine_similarity

SEARCHES = ("cosine", "category")


def most_similar(similarity: Any, mask: Any, k: int) -> tuple[Any, Any]:
    """The k valid positions of the largest similarity, in the history's own order.

    Of equal similarities the newest position wins (the last one, as histories run
    from old to new), so that a batch of another shape never finds others. What is
    found stays in the order of the history, valid positions first: it is a shorter
    history, on which everything works that works on a whole one. No gradient flows.

    Args:
        similarity: float tensor `[B, N, L]`, or `[B, L]` for one candidate each.
        mask: bool tensor of the same shape, true where a similarity means something.
        k: int. How many to find; more than L is padded.

    Returns:
        (int32 indices `[B, N, k]` in `[0, L)`, bool mask `[B, N, k]`). An index
        outside the mask is 0.

    Raises:
        TfmmError: k is below 1.

    Reference:
        The general search unit of MUSE, arXiv 2512.07216.

    Example:
        >>> similarity = [[[0.9, -0.5, 0.3, 0.3]]]
        >>> indices, mask = most_similar(similarity, ops.ones((1, 1, 4), "bool"), 2)
        >>> ops.convert_to_numpy(indices).tolist()
        [[[0, 3]]]
    """
    similarity = ops.cast(ops.stop_gradient(similarity), "float32")
    absent = ops.convert_to_tensor(-float("inf"), "float32")
    keys = ops.where(ops.convert_to_tensor(mask), similarity, absent)
    return _largest(keys, absent, k)


def same_category(
    candidate_category: Any, history_category: Any, history_mask: Any, k: int
) -> tuple[Any, Any]:
    """The newest k behaviours of the candidate's own category, oldest first.

    Category 0 is a missing one and matches nothing.

    Args:
        candidate_category: int tensor `[B, N]`, or `[B]` for one candidate each.
        history_category: int tensor `[B, L]`.
        history_mask: bool tensor `[B, L]`.
        k: int. How many to find; more than L is padded.

    Returns:
        (int32 indices `[B, N, k]`, bool mask `[B, N, k]`), as of `most_similar`.

    Raises:
        TfmmError: k is below 1.

    Reference:
        Hard search of SIM, arXiv 2006.05639.

    Example:
        >>> indices, mask = same_category([7], [[7, 2, 7, 7]], [[True] * 4], 2)
        >>> ops.convert_to_numpy(indices).tolist()
        [[2, 3]]
    """
    candidates = ops.convert_to_tensor(candidate_category)[..., None]
    history = ops.convert_to_tensor(history_category)
    usable = ops.logical_and(ops.convert_to_tensor(history_mask), history != 0)
    if len(candidates.shape) == 3:
        history, usable = history[:, None], usable[:, None]
    matches = ops.logical_and(ops.equal(candidates, history), usable)
    ages = ops.arange(1, ops.shape(history)[-1] + 1, dtype="int32")
    absent = ops.convert_to_tensor(0, "int32")
    return _largest(ops.where(matches, ages, absent), absent, k)


def _largest(keys: Any, absent: Any, k: int) -> tuple[Any, Any]:
    """Positions of the k largest keys above `absent`, sorted; the last of equals."""
    _check_k(k)
    length = ops.shape(keys)[-1]
    newest_first = ops.flip(keys, axis=-1)
    if not isinstance(keys.shape[-1], int) or keys.shape[-1] < k:
        rest = ops.full((*ops.shape(keys)[:-1], k), absent, dtype=keys.dtype)
        newest_first = ops.concatenate([newest_first, rest], axis=-1)
    # Of equal keys `top_k` takes the first.
    values, order = ops.top_k(newest_first, k)
    positions = ops.where(values > absent, length - 1 - order, length)
    positions = ops.cast(ops.sort(positions, axis=-1), "int32")
    found = positions < length
    return ops.where(found, positions, 0), found


def _check_k(k: int) -> None:
    if k < 1:
        raise TfmmError(
            f"A search needs to find at least one behaviour. Received: k={k}. "
            "Give a positive number, for example 50."
        )


@keras.saving.register_keras_serializable(package="tfmm")
class HistorySearch(Layer):
    """Finds the k behaviours of a long history to model for each candidate.

    A shell over `most_similar` and `same_category`; where the cosines are at hand,
    call `most_similar` on them. Nothing is learned, and no gradient flows.

    Args:
        k: int. How many behaviours to find.
        by: `"cosine"` of frozen vectors (MUSE) or of trained ID embeddings (SIM's
            soft search), whichever the layer is called on, or `"category"` for the
            newest of the same category (SIM's hard search). Defaults to `"cosine"`.

    Input shape:
        By cosine: candidates int8 or float `[B, N, d]` or `[B, d]`, history
        `[B, L, d]`. By category: int `[B, N]` or `[B]`, and `[B, L]`. Then a mask
        bool `[B, L]`, or by cosine also `[B, N, L]`, for pairs with a missing vector.

    Output:
        (int32 indices `[B, N, k]`, bool mask `[B, N, k]`), oldest first and padded at
        the end; without the N axis for one candidate each.

    Reference:
        MUSE, arXiv 2512.07216; SIM, arXiv 2006.05639.

    Example:
        >>> search = HistorySearch(k=1)
        >>> history, mask = ops.array([[[0.0, 1.0], [2.0, 0.0]]]), [[True, True]]
        >>> indices, found = search(ops.array([[1.0, 0.0]]), history, ops.array(mask))
        >>> ops.convert_to_numpy(indices).tolist()
        [[1]]
    """

    def __init__(self, k: int, by: str = "cosine", **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        _check_k(k)
        if by not in SEARCHES:
            raise TfmmError(
                f"The history cannot be searched like this. Received: by={by!r}. "
                f"Choose one of {', '.join(SEARCHES)}."
            )
        self.k = k
        self.by = by

    def call(self, candidates: Any, history: Any, mask: Any) -> tuple[Any, Any]:
        if self.by == "category":
            return same_category(candidates, history, mask, self.k)
        single = len(candidates.shape) == 2
        if single:
            candidates = candidates[:, None]
        candidates, history = ops.stop_gradient(candidates), ops.stop_gradient(history)
        similarity = cosine_similarity(candidates, history)
        if len(mask.shape) == 2:
            mask = mask[:, None]
        mask = ops.broadcast_to(mask, ops.shape(similarity))
        indices, found = most_similar(similarity, mask, self.k)
        return (indices[:, 0], found[:, 0]) if single else (indices, found)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k, "by": self.by}
