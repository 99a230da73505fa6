"""The SCL vectors of Taobao-MM as a catalog: their int8 codes as they are."""

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from tfmm.catalog import Catalog
from tfmm.catalog.quantise import VectorTable
from tfmm.datasets.taobao_mm_columns import integers, lists
from tfmm.datasets.taobao_mm_files import DIMENSION, ITEM, VECTOR, Files, Progress, read
from tfmm.records.index import FIRST_ROW, ItemIndex

MODALITY = "scl"
SOURCE = "taobao-mm-scl@int8-p90"
_ROWS = 16_384


def catalog(
    files: Files, index: ItemIndex, scratch: Path, progress: Progress | None = None
) -> Catalog:
    """A catalog of the published codes, memory-mapped in a folder.

    A code is `trunc(127 v)` of a unit vector `v`. Cosines need the direction alone, so
    the codes are taken over and only their inverse norms are computed.

    Args:
        files: The files.
        index: The items; vectors of others are left out, items without are absent.
        scratch: Where the codes lie; they must stay while the catalog is used.
        progress: Called with what is read, rows done and rows in all.
    """
    codes = open_memmap(scratch / "codes.npy", "w+", np.int8, (index.rows, DIMENSION))
    inverse_norm = np.zeros(index.rows, np.float32)
    counts: Counter[str] = Counter()
    filled = np.zeros(index.rows, bool)
    for batch in read((files.vectors,), [ITEM, VECTOR], _ROWS, progress):
        rows = index.rows_of(integers(batch, ITEM))
        values, starts = lists(batch.column(VECTOR))
        left = np.ones(len(rows), bool)
        for reason, wrong in (
            ("unknown_item", rows < FIRST_ROW),
            ("other_length", np.diff(starts) != DIMENSION),
            ("repeated", filled[rows] | _again(rows)),
        ):
            counts[reason] += int((left & wrong).sum())
            left &= ~wrong
        place = starts[:-1][left, None] + np.arange(DIMENSION)
        found = values[place]
        squares = np.square(found, dtype=np.int64).sum(axis=1)
        counts["read"] += len(rows)
        counts["zero"] += int((squares == 0).sum())
        codes[rows[left]], filled[rows[left]] = found, True
        inverse = np.zeros(len(squares))
        np.divide(1, np.sqrt(squares), out=inverse, where=squares > 0)
        inverse_norm[rows[left]] = inverse
    codes.flush()
    present = inverse_norm > 0
    table = VectorTable(codes, inverse_norm, present)
    known = int(present.sum())
    dropped = {k: n for k, n in counts.items() if k != "read" and n}
    return Catalog(
        index,
        {MODALITY: table},
        {MODALITY: SOURCE},
        {
            "read": counts["read"],
            "written": known,
            "dropped": dropped,
            "items_without_vector": index.rows - FIRST_ROW - known,
        },
    )


def _again(rows: np.ndarray) -> np.ndarray:
    """True where a row stood before."""
    again = np.ones(len(rows), bool)
    again[np.unique(rows, return_index=True)[1]] = False
    return again
