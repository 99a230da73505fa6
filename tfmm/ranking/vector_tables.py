"""A model's frozen vector tables: their shapes and how they are filled."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.frozen_vectors import FrozenVectors
from tfmm.layers.gather import gather_rows


@dataclass(frozen=True)
class VectorShapes:
    """All that a model's configuration keeps of a catalog.

    Args:
        rows: Number of catalog rows.
        modalities: Dimension by modality, in order.
        fingerprint: The catalog's fingerprint; None for bare tables.
    """

    rows: int
    modalities: dict[str, int]
    fingerprint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def vector_shapes(catalog: Any, modalities: Sequence[str] | None = None) -> Any:
    """Shapes of the chosen modalities of a catalog.

    Args:
        catalog: A `tfmm.Catalog`, a mapping from modality to anything with `codes`,
            `inverse_norm` and `present`, or a `VectorShapes`.
        modalities: Names to use. Defaults to all.

    Returns:
        `VectorShapes`.

    Raises:
        TfmmError: An unknown modality, none at all, or tables of several lengths.
    """
    if isinstance(catalog, VectorShapes):
        return catalog
    tables = vector_tables(catalog)
    names = list(tables) if modalities is None else list(modalities)
    unknown = [name for name in names if name not in tables]
    if unknown or not names:
        raise TfmmError(
            "These modalities are not in the catalog. "
            f"Received: modalities={names}, catalog with {list(tables)}. "
            "Name modalities that the catalog has vectors of."
        )
    rows = {int(tables[name].codes.shape[0]) for name in names}
    if len(rows) > 1:
        raise TfmmError(
            "The modalities' tables must have one row per catalog row. "
            f"Received: tables of {sorted(rows)} rows. Build them from one index."
        )
    dimensions = {name: int(tables[name].codes.shape[1]) for name in names}
    return VectorShapes(rows.pop(), dimensions, getattr(catalog, "fingerprint", None))


def vector_tables(catalog: Any) -> Mapping[str, Any]:
    """The tables by modality of a catalog or of a mapping."""
    return catalog if isinstance(catalog, Mapping) else catalog.modalities


def fill_vectors(layers: Mapping[str, FrozenVectors], catalog: Any) -> None:
    """Copies a catalog's tables into frozen layers; rows it lacks have no vector.

    Args:
        layers: A layer by modality.
        catalog: As of `vector_shapes`.
    """
    for name, layer in layers.items():
        table = vector_tables(catalog)[name]
        missing = layer.rows - table.codes.shape[0]
        layer.assign(
            np.pad(table.codes, [(0, missing), (0, 0)]),
            np.pad(table.inverse_norm, (0, missing)),
            np.pad(table.present, (0, missing)),
        )


def with_vectors(layers: Mapping[str, FrozenVectors], rows: Any) -> Any:
    """Which items have a vector in any modality.

    Args:
        layers: A layer by modality.
        rows: int32 catalog rows of any shape.

    Returns:
        bool tensor of the same shape; all false without modalities.
    """
    found = ops.zeros_like(rows, dtype="bool")
    for layer in layers.values():
        found = ops.logical_or(found, gather_rows(layer.present, rows))
    return found
