"""The items of a request batch as catalog rows, padding cut off."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from keras import ops

from tfmm.layers.gather import gather_positions
from tfmm.layers.masks import keep_valid, valid_mask


class RequestRows(NamedTuple):
    """History and candidates of a batch; 0 outside the masks.

    Args:
        history: int32 catalog rows `[B, L]`, oldest first.
        history_mask: bool `[B, L]`, true for the first `n_history` positions.
        items: int32 catalog rows `[B, N]`.
        item_mask: bool `[B, N]`.
        types: int32 event types `[B, L]`; None where the batch has none.
        history_vectors: int32 `[B, L]`, the rows of the history's vectors where new
            items bring theirs; None where they are `history`.
        item_vectors: int32 `[B, N]`, of the candidates' vectors.

    Example:
        >>> batch = {"history_item": [[5, 6, -9]], "n_history": [2],
        ...          "item": [[7]], "n_items": [1]}
        >>> rows = RequestRows.of(batch).newest(1)
        >>> ops.convert_to_numpy(rows.history).tolist()
        [[6]]
    """

    history: Any
    history_mask: Any
    items: Any
    item_mask: Any
    types: Any = None
    history_vectors: Any = None
    item_vectors: Any = None

    @classmethod
    def of(cls, batch: Mapping[str, Any]) -> "RequestRows":
        """The rows of a request batch.

        Args:
            batch: dict with `history_item` int32 `[B, L]`, `n_history` int32 `[B]`,
                `item` int32 `[B, N]`, `n_items` int32 `[B]`; where the log has them
                `history_type` int32 `[B, L]`, and where new items bring vectors
                `history_vector` int32 `[B, L]` and `item_vector` int32 `[B, N]`.
        """

        def optional(name: str, mask: Any) -> Any:
            values = batch.get(name)
            return None if values is None else keep_valid(values, mask)

        history = ops.convert_to_tensor(batch["history_item"])
        items = ops.convert_to_tensor(batch["item"])
        history_mask = valid_mask(batch["n_history"], ops.shape(history)[1])
        item_mask = valid_mask(batch["n_items"], ops.shape(items)[1])
        return cls(
            keep_valid(history, history_mask),
            history_mask,
            keep_valid(items, item_mask),
            item_mask,
            optional("history_type", history_mask),
            optional("history_vector", history_mask),
            optional("item_vector", item_mask),
        )

    @property
    def vectors_of_history(self) -> Any:
        """int32 `[B, L]`: where the history's vectors stand."""
        return self.history if self.history_vectors is None else self.history_vectors

    @property
    def vectors_of_items(self) -> Any:
        """int32 `[B, N]`: where the candidates' vectors stand."""
        return self.items if self.item_vectors is None else self.item_vectors

    def newest(self, count: int) -> "RequestRows":
        """The same requests with at most the newest `count` history items.

        Args:
            count: Items kept, at least 1.
        """
        length = ops.shape(self.history)[1]
        events = ops.sum(ops.cast(self.history_mask, "int32"), axis=1)
        kept = ops.minimum(events, count)
        width = ops.minimum(length, count)
        column = ops.arange(width, dtype="int32")[None]
        positions = ops.minimum((events - kept)[:, None] + column, length - 1)
        return self._with_history(positions, column < kept[:, None])

    def selected(self, positions: Any, mask: Any) -> "RequestRows":
        """One request per candidate, each with the history chosen for it.

        Args:
            positions: int32 `[B, N, K]`, history positions.
            mask: bool `[B, N, K]`.

        Returns:
            `RequestRows` of `B * N` requests of one candidate and K history items.
        """
        batch, count = ops.shape(positions)[:2]
        width = positions.shape[2]
        flat = ops.reshape(positions, (batch, -1))
        chosen = self._with_history(flat, ops.reshape(mask, (batch, -1)))

        def folded(values: Any, shape: tuple[Any, ...] = (batch * count, width)) -> Any:
            return None if values is None else ops.reshape(values, shape)

        return RequestRows(
            folded(chosen.history),
            folded(chosen.history_mask),
            folded(self.items, (-1, 1)),
            folded(self.item_mask, (-1, 1)),
            folded(chosen.types),
            folded(chosen.history_vectors),
            folded(self.item_vectors, (-1, 1)),
        )

    def _with_history(self, positions: Any, mask: Any) -> "RequestRows":
        def taken(values: Any) -> Any:
            if values is None:
                return None
            return keep_valid(gather_positions(values, positions), mask)

        return self._replace(
            history=taken(self.history),
            history_mask=mask,
            types=taken(self.types),
            history_vectors=taken(self.history_vectors),
        )
