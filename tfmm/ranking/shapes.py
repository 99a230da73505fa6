"""A ranker's configuration: request spec and table shapes, no tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmm.errors import TfmmError
from tfmm.ranking.vector_tables import VectorShapes, vector_shapes
from tfmm.records.spec import RequestSpec


@dataclass(frozen=True)
class RankerShapes:
    """All that a ranker is built from; its weights and tables are filled afterwards.

    Args:
        spec: Names and sizes of a request.
        vectors: Shapes of the catalog's tables; without modalities for an ID model.
    """

    spec: RequestSpec
    vectors: VectorShapes

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"spec": self.spec.to_dict(), "vectors": self.vectors.to_dict()}

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> "RankerShapes":
        """The inverse of `to_dict`."""
        spec = RequestSpec.from_dict(config["spec"])
        return cls(spec, VectorShapes(**config["vectors"]))


def ranker_shapes(
    vocabularies: Any, catalog: Any, modalities: Any = None
) -> RankerShapes:
    """Shapes from vocabularies and an optional catalog of one item index.

    Args:
        vocabularies: `tfmm.records.Vocabularies`, or a `RankerShapes` itself.
        catalog: `tfmm.Catalog`, a mapping of tables, or None.
        modalities: Names of the modalities to use. Defaults to all.

    Raises:
        TfmmError: The two belong to different item indexes, or modalities are named
            without a catalog.
    """
    if isinstance(vocabularies, RankerShapes):
        return vocabularies
    spec = vocabularies.spec
    if catalog is None:
        if modalities:
            raise TfmmError(
                "Modalities need a catalog of vectors. Received: "
                f"modalities={list(modalities)}, catalog=None. Give the catalog."
            )
        return RankerShapes(spec, VectorShapes(spec.rows, {}))
    if hasattr(catalog, "index"):
        catalog.index.check(vocabularies.index_stamp, "The vocabulary")
    shapes = vector_shapes(catalog, modalities)
    rows = max(spec.rows, shapes.rows)
    return RankerShapes(spec, VectorShapes(rows, shapes.modalities, shapes.fingerprint))


def example_batch(spec: RequestSpec) -> dict[str, np.ndarray]:
    """The smallest request batch of a spec, B = L = N = 1, with labels.

    Args:
        spec: Names and sizes of a request.

    Example:
        >>> spec = RequestSpec(3, 3, 3, (), ("click",), ("click",), 5, 5)
        >>> example_batch(spec)["label_click"].shape
        (1, 1)
    """
    one, pair = np.ones(1, np.int32), np.ones([1, 1], np.int32)
    batch: dict[str, np.ndarray] = {
        "user": one,
        "history_item": pair,
        "history_type": pair,
        "n_history": one,
        "item": pair,
        "n_items": one,
    }
    for feature in spec.of_scope("user", "context", "candidate"):
        value = pair if feature.scope == "candidate" else one
        dtype = np.int32 if feature.kind == "categorical" else np.float32
        batch[feature.tensor] = value.astype(dtype)
    for label in spec.labels:
        batch[f"label_{label}"] = pair.astype(np.float32)
    if spec.position:
        batch["position"] = pair
    if spec.base_score:
        batch["base_score"] = np.full([1, 1], 0.5, np.float32)
    return batch
