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

    @classmethod
    def of(cls, batch: Mapping[str, Any]) -> "RequestRows":
        """The rows of a request batch.

        Args:
            batch: dict with `history_item` int32 `[B, L]`, `n_history` int32 `[B]`,
                `item` int32 `[B, N]`, `n_items` int32 `[B]` and, where the log has
                them, `history_type` int32 `[B, L]`.
        """
        history = ops.convert_to_tensor(batch["history_item"])
        items = ops.convert_to_tensor(batch["item"])
        history_mask = valid_mask(batch["n_history"], ops.shape(history)[1])
        item_mask = valid_mask(batch["n_items"], ops.shape(items)[1])
        types = batch.get("history_type")
        return cls(
            keep_valid(history, history_mask),
            history_mask,
            keep_valid(items, item_mask),
            item_mask,
            None if types is None else keep_valid(types, history_mask),
        )

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
        fold = (batch * count, width)
        return RequestRows(
            ops.reshape(chosen.history, fold),
            ops.reshape(chosen.history_mask, fold),
            ops.reshape(self.items, (-1, 1)),
            ops.reshape(self.item_mask, (-1, 1)),
            None if chosen.types is None else ops.reshape(chosen.types, fold),
        )

    def _with_history(self, positions: Any, mask: Any) -> "RequestRows":
        def taken(values: Any) -> Any:
            return keep_valid(gather_positions(values, positions), mask)

        return self._replace(
            history=taken(self.history),
            history_mask=mask,
            types=None if self.types is None else taken(self.types),
        )
