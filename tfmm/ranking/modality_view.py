"""One modality of a request batch, computed when it is first asked for."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from keras import ops

from tfmm.layers.frozen_vectors import VectorRows, unit_vectors
from tfmm.layers.gather import gather_positions
from tfmm.layers.masks import keep_valid, pair_mask
from tfmm.layers.similarity import cosine_similarity
from tfmm.ranking.request_rows import RequestRows


class ModalityView:
    """Vectors and similarities of a batch, gathered and multiplied once for all.

    Args:
        vectors: The modality's table, from catalog rows to vectors.
        rows: The batch's catalog rows.
    """

    def __init__(self, vectors: Callable[[Any], VectorRows], rows: RequestRows) -> None:
        self._vectors, self._rows = vectors, rows

    @cached_property
    def history(self) -> VectorRows:
        """The history's vectors: codes `[B, L, d]`, inverse norms `[B, L]`."""
        return self._vectors(self._rows.vectors_of_history)

    @cached_property
    def items(self) -> VectorRows:
        """The candidates' vectors: codes `[B, N, d]`, inverse norms `[B, N]`."""
        return self._vectors(self._rows.vectors_of_items)

    @cached_property
    def history_units(self) -> Any:
        """The history's vectors of length 1, float32 `[B, L, d]`; zeros if absent."""
        return unit_vectors(self.history)

    @cached_property
    def item_units(self) -> Any:
        """The candidates' vectors of length 1, float32 `[B, N, d]`."""
        return unit_vectors(self.items)

    @cached_property
    def present(self) -> Any:
        """bool `[B, N]`: valid candidates that have a vector."""
        return keep_valid(self.items.present, self._rows.item_mask)

    @cached_property
    def similarity(self) -> Any:
        """float32 cosines `[B, N, L]`; they mean something inside the `mask` only."""
        return cosine_similarity(
            self.items.codes,
            self.history.codes,
            self.items.inverse_norm,
            self.history.inverse_norm,
        )

    @cached_property
    def mask(self) -> Any:
        """bool `[B, N, L]`: pairs of which both sides are valid and have a vector."""
        past = keep_valid(self.history.present, self._rows.history_mask)
        return pair_mask(past, self.present)

    def selected(
        self, positions: Any, mask: Any, rows: RequestRows
    ) -> "_SelectedModality":
        """The view of a searched history, see `RequestRows.selected`.

        Similarities are taken over, not computed again.

        Args:
            positions: int32 `[B, N, K]`.
            mask: bool `[B, N, K]`.
            rows: The searched rows.
        """
        return _SelectedModality(self, positions, mask, rows)


class _SelectedModality(ModalityView):
    def __init__(
        self, whole: ModalityView, positions: Any, mask: Any, rows: RequestRows
    ) -> None:
        super().__init__(whole._vectors, rows)
        self._whole, self._positions, self._chosen = whole, positions, mask

    @cached_property
    def similarity(self) -> Any:
        return self._folded(self._whole.similarity)

    @cached_property
    def mask(self) -> Any:
        chosen = ops.reshape(self._chosen, (-1, 1, self._chosen.shape[-1]))
        return ops.logical_and(self._folded(self._whole.mask), chosen)

    def _folded(self, values: Any) -> Any:
        taken = gather_positions(values, self._positions)
        return ops.reshape(taken, (-1, 1, self._positions.shape[-1]))
