"""What interests see of a request batch."""

from functools import cached_property
from typing import Any

from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.gather import gather_distinct
from tfmm.ranking.modality_view import ModalityView
from tfmm.ranking.request_rows import RequestRows
from tfmm.ranking.request_tables import RequestTables


class Views:
    """A request batch as interests see it; each part is computed when asked for, once.

    Args:
        rows: The batch's catalog rows.
        tables: The ranker's tables.
        whole: The views this one is a part of.

    Attributes:
        rows: `RequestRows`: `history` int32 `[B, L]`, `history_mask` bool `[B, L]`,
            `items` int32 `[B, N]`, `item_mask` bool `[B, N]`.
        whole: The views with the whole history; itself unless cut or searched.
    """

    def __init__(
        self, rows: RequestRows, tables: RequestTables, whole: "Views | None" = None
    ) -> None:
        self.rows = rows
        self.whole = whole or self
        self._tables = tables
        self._modalities: dict[str, ModalityView] = {}

    @property
    def history_mask(self) -> Any:
        """bool `[B, L]`: valid history positions."""
        return self.rows.history_mask

    @property
    def item_mask(self) -> Any:
        """bool `[B, N]`: valid candidates."""
        return self.rows.item_mask

    @cached_property
    def items(self) -> Any:
        """float `[B, N, D]`: embeddings of the candidates."""
        return self._tables.items(self.rows.items)

    @cached_property
    def history(self) -> Any:
        """float `[B, L, D]`: embeddings of the history, with those of event types."""
        # Users see the same items, and candidates of one request find the same.
        found = gather_distinct(self._tables.items, self.rows.history)
        if self.rows.types is None:
            return found
        return found + self._tables.event_types(self.rows.types)

    @property
    def item_numbers(self) -> Any:
        """float32 `[B, N, G]`: numeric features of the candidates."""
        return self._tables.items.numbers_of(self.rows.items)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities."""
        return tuple(self._tables.vectors)

    def modality(self, name: str) -> ModalityView:
        """Vectors and similarities of one modality.

        Args:
            name: The modality.

        Raises:
            TfmmError: The ranker has no such modality.
        """
        if name not in self._tables.vectors:
            raise TfmmError(
                "The ranker has no vectors of this modality. Received: "
                f"{name!r}, ranker with {list(self.modalities)}. Name one of these."
            )
        if name not in self._modalities:
            self._modalities[name] = self._new_view(name)
        return self._modalities[name]

    def _new_view(self, name: str) -> ModalityView:
        return ModalityView(self._tables.vectors[name], self.rows)

    def item_codes(self, feature: str) -> tuple[Any, Any]:
        """Codes of a categorical item feature: candidates and history.

        Args:
            feature: The feature's name.

        Returns:
            int32 `[B, N]` and `[B, L]`; 0 is missing.

        Raises:
            TfmmError: Items have no such feature.
        """
        names = self._tables.item_features
        if feature not in names:
            raise TfmmError(
                "Items have no such categorical feature. Received: "
                f"{feature!r}, items with {list(names)}. Name one of these."
            )
        column = names.index(feature)
        table = self._tables.items
        return (
            table.feature_codes(self.rows.items, column),
            table.feature_codes(self.rows.history, column),
        )

    def newest(self, count: int) -> "Views":
        """These requests with at most the newest `count` history items.

        Args:
            count: Items kept.
        """
        return Views(self.rows.newest(count), self._tables, self.whole)

    def selected(self, positions: Any, mask: Any) -> "Views":
        """One request per candidate with the history chosen for it.

        Every interest works on it as on any other: the candidates are folded into the
        batch, so B becomes `B * N`, N becomes 1 and L becomes K.

        Args:
            positions: int32 `[B, N, K]`, history positions.
            mask: bool `[B, N, K]`.
        """
        return _SelectedViews(self, positions, mask)


class _SelectedViews(Views):
    def __init__(self, source: Views, positions: Any, mask: Any) -> None:
        super().__init__(source.rows.selected(positions, mask), source._tables)
        self._source, self._positions, self._chosen = source, positions, mask

    @cached_property
    def items(self) -> Any:
        items = self._source.items
        return ops.reshape(items, (-1, 1, items.shape[-1]))

    def _new_view(self, name: str) -> ModalityView:
        source = self._source.modality(name)
        return source.selected(self._positions, self._chosen, self.rows)
