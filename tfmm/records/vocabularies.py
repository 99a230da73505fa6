"""Which values and items have an embedding of their own, learnt from training only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfmm.records.hashing import with_hashes
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest, write_manifest, writing
from tfmm.records.spec import FIRST_CODE, MISSING_CODE, UNKNOWN_CODE, RequestSpec

KIND = "vocabularies"
USER = "user"


@dataclass(frozen=True)
class ItemTable:
    """What is known of every item besides its vectors, by catalog row.

    Args:
        embedding_row: int32 `[rows]`; 0 fills, 1 for items under the minimum count.
        codes: int32 `[rows, F]`, categorical item features in the spec's order.
        numbers: float32 `[rows, G]`, numeric item features; 0 where missing.
        train_count: int64 `[rows]`, occurrences in training.
    """

    embedding_row: np.ndarray
    codes: np.ndarray
    numbers: np.ndarray
    train_count: np.ndarray


@dataclass(frozen=True)
class Vocabularies:
    """Values with a code, items with an embedding row, and the request's sizes.

    Args:
        values: Feature tensor name (or `"user"`) -> known values; value `i` has code
            `i + 2`, 0 is missing and 1 unknown or rare; the rare ones of a feature with
            `hash_buckets` have codes after the known.
        items: The item table.
        spec: Sizes and names of the request.
        index_stamp: Stamp of the item index whose rows `items` has.
    """

    values: Mapping[str, Sequence[str]]
    items: ItemTable
    spec: RequestSpec
    index_stamp: Mapping[str, Any]

    def save(
        self,
        folder: str | Path,
        counts: Mapping[str, Any],
        **facts: Any,
    ) -> None:
        """Writes the folder, whole or not at all.

        Args:
            folder: Where to write.
            counts: Counts for the manifest.
            **facts: Further facts for the manifest, such as the `key_check` of the
                key that hashed the users.
        """
        with writing(folder) as tmp:
            (tmp / "values").mkdir()
            for name, values in self.values.items():
                table = pa.table({"value": pa.array(list(values), pa.string())})
                pq.write_table(table, tmp / "values" / f"{name}.parquet")
            for name in ItemTable.__dataclass_fields__:
                np.save(tmp / f"{name}.npy", getattr(self.items, name))
            write_manifest(
                tmp,
                kind=KIND,
                counts=counts,
                index=dict(self.index_stamp),
                spec=self.spec.to_dict(),
                sizes={name: len(values) for name, values in self.values.items()},
                **facts,
            )

    @classmethod
    def open(cls, folder: str | Path, index: ItemIndex | None = None) -> "Vocabularies":
        """Opens a saved folder.

        Args:
            folder: What the job `vocabularies` wrote.
            index: When given, the item index that the rows must belong to.

        Raises:
            TfmmError: If the folder is unfinished or of another item index.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, kind=KIND)
        if index is not None:
            index.check(manifest["index"], f"`{folder}`")
        arrays = {
            name: np.load(folder / f"{name}.npy", allow_pickle=False)
            for name in ItemTable.__dataclass_fields__
        }
        values = {
            name: pq.read_table(folder / "values" / f"{name}.parquet")[
                "value"
            ].to_pylist()
            for name in manifest["sizes"]
        }
        spec = RequestSpec.from_dict(manifest["spec"])
        return cls(values, ItemTable(**arrays), spec, manifest["index"])


def codes_of(
    values: Sequence[str], column: pa.Array, hash_buckets: int = 0
) -> np.ndarray:
    """Codes of raw values: 0 missing, 1 unknown, `i + 2` for `values[i]`.

    Args:
        values: The known values.
        column: String or binary array `[n]`; null or empty means missing.
        hash_buckets: Where not 0, unknown values have hashed codes; this needs
            TensorFlow.

    Returns:
        int32 `[n]`.

    Example:
        >>> codes_of(["red", "blue"], pa.array(["blue", "", None, "pink"])).tolist()
        [3, 0, 0, 1]
    """
    column = column.cast(pa.binary())
    known = pa.array(list(values), pa.string()).cast(pa.binary())
    found = pc.index_in(column, value_set=known)
    codes = pc.add(pc.fill_null(found, UNKNOWN_CODE - FIRST_CODE), FIRST_CODE)
    missing = pc.fill_null(pc.equal(column, b""), True)
    coded = pc.if_else(missing, pa.scalar(MISSING_CODE, pa.int32()), codes)
    result = coded.to_numpy(zero_copy_only=False).astype(np.int32)
    unknown = np.flatnonzero(result == UNKNOWN_CODE)
    if hash_buckets and len(unknown):
        texts = np.array(column.take(pa.array(unknown)).to_pylist(), object)
        result[unknown] = with_hashes(result[unknown], texts, len(values), hash_buckets)
    return result
