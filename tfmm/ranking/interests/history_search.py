"""Interest by what a search finds in a long history."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.history_search import most_similar, same_category
from tfmm.layers.similarity import cosine_similarity
from tfmm.ranking.interests.base import Interest, connect
from tfmm.ranking.interests.registry import interest_layer
from tfmm.ranking.views import Views

BY = ("cosine", "category", "id")


@keras.saving.register_keras_serializable(package="tfmm")
class HistorySearchInterest(Interest):
    """Searches the whole history for each candidate, then looks closely at k items.

    The search unit (GSU) is cheap and learns nothing: the k history items most similar
    to the candidate by frozen vectors (`by="cosine"`, MUSE), the newest k of its
    category (`"category"`, SIM-hard) or the k most similar by the ID embeddings being
    trained (`"id"`, SIM-soft). Other interests are then asked about these k items, as
    of a history of each candidate's own.

    Args:
        interests: Names of the interests asked, or mappings from a name to its
            options. Defaults to SimTier and semantic-aware attention, as in MUSE.
        k: History items found. Defaults to 50.
        by: `"cosine"` (default), `"category"` or `"id"`.
        modality: The vectors that `"cosine"` searches by. Defaults to the first.
        category: Name of the categorical item feature that `"category"` goes by.

    Raises:
        TfmmError: An unknown way of searching, no category for `"category"`, or
            nobody to ask about what is found.

    Reference:
        Section 3 of arXiv 2512.07216 (MUSE); SIM, arXiv 2006.05639.
    """

    def __init__(
        self,
        interests: Sequence[Any] = ("simtier", "semantic_attention"),
        k: int = 50,
        by: str = "cosine",
        modality: str | None = None,
        category: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if by not in BY or (by == "category" and category is None):
            raise TfmmError(
                "The history cannot be searched this way. Received: "
                f"by={by!r}, category={category!r}. Choose one of {', '.join(BY)}; "
                "`category` needs the name of a categorical item feature."
            )
        if not interests:
            raise TfmmError(
                "A search needs interests to ask about what it finds. Received: none. "
                'Give at least one, for example "simtier".'
            )
        self.interests = [interest_layer(interest) for interest in interests]
        self.k = k
        self.by = by
        self.modality = modality
        self.category = category

    @property
    def needs_vectors(self) -> bool:  # type: ignore[override]
        """Whether the search or an interest asked needs vectors."""
        asked = any(getattr(i, "needs_vectors", False) for i in self.interests)
        return self.by == "cosine" or asked

    def connect(self, modalities: Mapping[str, int]) -> None:
        for interest in self.interests:
            connect(interest, modalities)

    def call(self, views: Views) -> Any:
        whole = views.whole
        positions, mask = self.search(whole)
        found = whole.selected(positions, mask)
        inputs = [interest(views=found) for interest in self.interests]
        inputs = [ops.cast(x, self.compute_dtype) for x in inputs]
        joined = ops.concatenate(inputs, axis=-1)
        return ops.reshape(joined, (*ops.shape(positions)[:2], joined.shape[-1]))

    def search(self, views: Views) -> tuple[Any, Any]:
        """The history positions found for every candidate.

        Args:
            views: Views with the whole history.

        Returns:
            int32 positions `[B, N, k]` and bool `[B, N, k]`, which of them were found.
        """
        if self.by == "category":
            candidates, history = views.item_codes(str(self.category))
            return same_category(candidates, history, views.history_mask, self.k)
        if self.by == "id":
            items, history = map(ops.stop_gradient, (views.items, views.history))
            pairs = ops.logical_and(
                views.item_mask[:, :, None], views.history_mask[:, None]
            )
            return most_similar(cosine_similarity(items, history), pairs, self.k)
        view = views.modality(self.modality or views.modalities[0])
        return most_similar(view.similarity, view.mask, self.k)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "interests": [serialize(interest) for interest in self.interests],
            "k": self.k,
            "by": self.by,
            "modality": self.modality,
            "category": self.category,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "HistorySearchInterest":
        restore = keras.saving.deserialize_keras_object
        interests = [restore(interest) for interest in config["interests"]]
        return cls(**{**config, "interests": interests})
