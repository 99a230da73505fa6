"""The catalog: every item's frozen vectors, by catalog row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfmm.catalog.neighbours import nearest
from tfmm.catalog.quantise import QUANTISATION, VectorTable
from tfmm.catalog.storage import open_tables, save_tables
from tfmm.catalog.vector_files import Ids, placed, read_vectors
from tfmm.errors import TfmmError
from tfmm.records.index import UNKNOWN_ROW, ItemIndex


@dataclass(frozen=True, eq=False)
class Catalog:
    """Quantised item vectors of any number of modalities, tied to an item index.

    Rows are stable: a catalog keeps its meaning when the index grows, and is refused by
    an index of another lineage. Rankers remember its `fingerprint`.

    Attributes:
        index: which raw id a row stands for.
        modalities: one `VectorTable` per name, each with `index.rows` rows.
        sources: per modality, what made the vectors: an encoder's id, or the name and
            version of foreign ones.
        counts: items read, written and dropped with reasons, when it was built.

    Example:
        >>> catalog = Catalog.from_vectors(
        ...     ["hat", "cap", "shoe"], [[1, 0], [1, 0], [0, 1]],
        ...     name="toy", version="1")
        >>> catalog.neighbours("hat", k=1)
        [('cap', 1.0)]
        >>> catalog.modalities["vector"].present.tolist()
        [False, False, True, True, True]
    """

    index: ItemIndex
    modalities: Mapping[str, VectorTable]
    sources: Mapping[str, str]
    counts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.modalities or set(self.modalities) != set(self.sources):
            raise TfmmError(
                "A catalog needs at least one modality, each with a source. "
                f"Received: modalities {sorted(self.modalities)} and sources "
                f"{sorted(self.sources)}. Give one source per modality."
            )
        for name, table in self.modalities.items():
            if not name.isidentifier():
                raise TfmmError(
                    "A modality's name becomes part of file and tensor names. "
                    f"Received: {name!r}. Use letters, digits and underscores."
                )
            if table.rows != self.rows:
                raise TfmmError(
                    f"Modality {name!r} must have one vector per catalog row. "
                    f"Received: {table.rows} for {self.rows} rows. "
                    "Build it with this index."
                )

    @classmethod
    def from_vectors(
        cls,
        ids: Ids | None,
        matrix: ArrayLike | str | Path,
        *,
        name: str,
        version: str,
        modality: str = "vector",
        index: ItemIndex | None = None,
        vector_column: str | None = None,
    ) -> Catalog:
        """Makes a catalog of anybody's vectors.

        Zero vectors are absent ones; vectors that are not finite, or whose item the
        index does not know, are left out and counted in `counts`.

        Args:
            ids: raw ids `[N]`, a `.npy` path, or a Parquet file's id column.
            matrix: numbers `[N, d]`, a `.npy` path, or a Parquet path.
            name: what made the vectors, e.g. "clip-vit-b32".
            version: its version; another name or version changes the fingerprint.
            modality: the name that models use for these vectors.
            index: the item index to follow. Defaults to a new one of these ids.
            vector_column: the Parquet file's column of vectors.

        Raises:
            TfmmError: unreadable input, wrong shapes, repeated ids, no usable vector.
        """
        texts, id_type, values = read_vectors(ids, matrix, vector_column)
        index = index or ItemIndex.create(texts, id_type)
        table, counts = placed(index, texts, values)
        return cls(index, {modality: table}, {modality: f"{name}@{version}"}, counts)

    @classmethod
    def open(cls, folder: str | Path, index: ItemIndex | None = None) -> Catalog:
        """Opens a saved catalog, memory-mapped.

        Args:
            folder: what `save` wrote.
            index: a grown index to follow; the new items have no vectors yet.

        Raises:
            TfmmError: an unfinished folder, or an index of another lineage.
        """
        catalog = cls(*open_tables(folder))
        return catalog if index is None else catalog.reindex(index, f"`{folder}`")

    def save(
        self, folder: str | Path, beside: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        """Writes `.npy` tables, the index and a manifest, whole or not at all.

        Args:
            folder: where to; an earlier catalog is replaced.
            beside: further arrays by row for the folder, such as what the job that
                made the vectors needs next time; a catalog that is opened lacks them.
        """
        save_tables(
            folder,
            self.index,
            self.modalities,
            counts=self.counts,
            sources=dict(self.sources),
            fingerprint=self.fingerprint,
            beside=beside or {},
        )

    @classmethod
    def merge(cls, *catalogs: Catalog) -> Catalog:
        """One catalog with the modalities of several of the same lineage.

        Raises:
            TfmmError: other lineages, or one modality's name in two of them.
        """
        longest = max(catalogs, key=lambda catalog: catalog.rows).index
        parts = [catalog.reindex(longest) for catalog in catalogs]
        names = [name for part in parts for name in part.modalities]
        if len(set(names)) != len(names):
            raise TfmmError(
                "Merged catalogs need different modalities. "
                f"Received: {names}. Rename one with modality=."
            )
        return cls(
            longest,
            {name: table for part in parts for name, table in part.modalities.items()},
            {name: source for part in parts for name, source in part.sources.items()},
        )

    def reindex(self, index: ItemIndex, what: str = "The catalog") -> Catalog:
        """The same vectors under a grown index; new rows are absent.

        Refuses an index of another lineage or an older one.
        """
        index.check(self.index.stamp(), what)
        tables = {m: table.padded(index.rows) for m, table in self.modalities.items()}
        return Catalog(index, tables, self.sources, self.counts)

    @property
    def rows(self) -> int:
        """Number of catalog rows, the two special ones included."""
        return self.index.rows

    @cached_property
    def fingerprint(self) -> str:
        """Digest of what a model trained on these vectors relies on.

        Index lineage and, per modality, source, dimension and quantisation: adding or
        re-embedding items keeps it, another encoder changes it.
        """
        facts = {
            name: [self.sources[name], table.dimension, QUANTISATION]
            for name, table in sorted(self.modalities.items())
        }
        text = json.dumps([self.index.lineage, facts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check_fingerprint(self, expected: str, what: str) -> None:
        """Refuses, by a `TfmmError`, a model that was trained on other vectors."""
        if expected != self.fingerprint:
            raise TfmmError(
                f"{what} was trained with another catalog, so its vectors would mean "
                f"something else. Expected: fingerprint {expected}. Received: "
                f"{self.fingerprint} ({dict(self.sources)}). Train it again with this "
                "catalog (`tfmm run RECIPE --from make`), or open the catalog it was "
                "trained with."
            )

    def vectors(self, modality: str) -> NDArray[np.float32]:
        """Unit vectors float32 `[rows, d]` of a modality, zeros where absent."""
        return self._table(modality).unit_vectors()

    def neighbours(
        self, item_id: str | int, modality: str | None = None, k: int = 10
    ) -> list[tuple[str, float]]:
        """The k items most similar to one, best first, by exact cosine.

        Args:
            item_id: the raw id.
            modality: which vectors. Defaults to the mean cosine over all modalities
                that both items have.
            k: how many; the item itself is left out.

        Raises:
            TfmmError: an unknown item, one without vectors, or an unknown modality.
        """
        names = [modality] if modality else list(self.modalities)
        row = int(self.index.rows_of([str(item_id)])[0])
        tables = [t for t in map(self._table, names) if t.present[row]]
        if row == UNKNOWN_ROW or not tables:
            why = "is not in the index" if row == UNKNOWN_ROW else "has no vector"
            raise TfmmError(
                f"Item {item_id!r} {why}, so it has no neighbours. Received: "
                f"modalities {names}. Ask for an item with vectors."
            )
        found = nearest(tables, row, k)
        return [(self.index.id_of(near), cosine) for near, cosine in found]

    def to_parquet(self, path: str | Path, vectors: str = "float") -> None:
        """Gives the vectors away as a Parquet file, one line per item and modality.

        Columns: `item_id`, `modality`, `present`, and `vector` (float32 unit vectors)
        or `codes` (int8) or both, null where absent: `vectors` is "float", "int8" or
        "both".
        """
        from tfmm.catalog.parquet import write_parquet

        write_parquet(self, path, vectors)

    @classmethod
    def from_parquet(cls, path: str | Path, index: ItemIndex | None = None) -> Catalog:
        """Reads what `to_parquet` wrote, all modalities, with the same fingerprint.

        Refuses another kind of file, and an index of another lineage.
        """
        from tfmm.catalog.parquet import read_parquet

        catalog = read_parquet(path)
        return catalog if index is None else catalog.reindex(index, f"`{path}`")

    def _table(self, modality: str) -> VectorTable:
        if modality not in self.modalities:
            raise TfmmError(
                f"The catalog has no modality {modality!r}. "
                f"Received: {list(self.modalities)}. Name one of these."
            )
        return self.modalities[modality]
