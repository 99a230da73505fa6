"""The tables that rankers and retrieval models read: items, event types, vectors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tfmm.layers.frozen_vectors import FrozenVectors
from tfmm.layers.new_vectors import WithNewVectors
from tfmm.layers.small_embedding import SmallEmbedding
from tfmm.ranking.item_tables import ItemTables
from tfmm.ranking.shapes import RankerShapes
from tfmm.ranking.vector_tables import fill_vectors


@dataclass(frozen=True)
class RequestTables:
    """The tables of a ranker that views read.

    Args:
        items: Item embeddings and features.
        event_types: SmallEmbeddings of event types, of an item embedding's length.
        vectors: Frozen vectors by modality, those of a batch's new items included.
        item_features: Names of the categorical item features, in the tables' order.
    """

    items: ItemTables
    event_types: SmallEmbedding
    vectors: Mapping[str, Any]
    item_features: tuple[str, ...] = ()

    @classmethod
    def of(cls, shapes: RankerShapes, embedding_dim: int) -> "RequestTables":
        """New tables, still empty.

        Args:
            shapes: Request spec and vectors.
            embedding_dim: Dimension of each embedding.
        """
        spec, vectors = shapes.spec, shapes.vectors
        features = spec.of_scope("item")
        categorical = [f for f in features if f.kind == "categorical"]
        sizes = tuple(f.size for f in categorical)
        numbers = len(features) - len(sizes)
        items = ItemTables(vectors.rows, spec.items, sizes, numbers, embedding_dim)
        types = len(spec.event_types) + 2
        return cls(
            items,
            SmallEmbedding(types, items.dimension, name="event_types"),
            {
                name: FrozenVectors(vectors.rows, dimension)
                for name, dimension in vectors.modalities.items()
            },
            tuple(f.name for f in categorical),
        )

    def with_new(self, batch: Mapping[str, Any]) -> "RequestTables":
        """These tables with the vectors that a batch brings along.

        Args:
            batch: A request batch; where it has `new_<modality>_vector`, float32
                `[B, V, d]`, these stand after the modality's last row.
        """
        new = {
            name: WithNewVectors(table, batch[f"new_{name}_vector"])
            for name, table in self.vectors.items()
            if f"new_{name}_vector" in batch
        }
        return replace(self, vectors={**self.vectors, **new}) if new else self

    def fill(self, vocabularies: Any, catalog: Any) -> None:
        """Takes over what is known of items.

        Args:
            vocabularies: `tfmm.records.Vocabularies`.
            catalog: As of `vector_shapes`, or None without vectors.
        """
        items = vocabularies.items
        self.items.assign(items.embedding_row, items.codes, items.numbers)
        fill_vectors(self.vectors, catalog)
