"""Blocks of item vectors, and the catalog's tables made of them."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tfmm.catalog import VectorTable
from tfmm.errors import TfmmError
from tfmm.records.index import FIRST_ROW

_PARTS = ("codes", "inverse_norm", "present")


@dataclass(frozen=True)
class Block:
    """The vectors of one batch of items.

    Attributes:
        rows: int64 `[B]`, catalog rows.
        tables: Per modality, the quantised vectors of these rows.
    """

    rows: np.ndarray
    tables: Mapping[str, VectorTable]


def to_npz(block: Block) -> bytes:
    """A block as the content of an npz file."""
    arrays = {
        f"{name}.{part}": getattr(table, part)
        for name, table in block.tables.items()
        for part in _PARTS
    }
    made = io.BytesIO()
    np.savez(made, rows=block.rows, **arrays)
    return made.getvalue()


def assemble(
    blocks: Iterable[bytes], dimensions: Mapping[str, int], rows: int, items: int
) -> dict[str, VectorTable]:
    """All blocks as one table per modality; other rows are absent.

    Args:
        blocks: What `to_npz` made of them.
        dimensions: Length of the vectors per modality.
        rows: Number of catalog rows.
        items: Number of items that were read.

    Raises:
        TfmmError: If a row is beyond the catalog's, or an item came twice.
    """
    tables = {
        name: VectorTable(
            np.zeros((rows, dimension), np.int8),
            np.zeros(rows, np.float32),
            np.zeros(rows, bool),
        )
        for name, dimension in dimensions.items()
    }
    seen = np.zeros(rows, bool)
    for data in blocks:
        with np.load(io.BytesIO(data), allow_pickle=False) as block:
            at = block["rows"]
            _check_rows(at, rows)
            seen[at] = True
            for name, table in tables.items():
                for part in _PARTS:
                    getattr(table, part)[at] = block[f"{name}.{part}"]
    if seen.sum() != items:
        raise TfmmError(
            "Item records hold an item twice. Expected: a row of its own for each of "
            f"{items} records. Received: {seen.sum()} rows. Run `item_media` again."
        )
    return tables


def _check_rows(at: np.ndarray, rows: int) -> None:
    wrong = at[(at < FIRST_ROW) | (at >= rows)]
    if len(wrong):
        raise TfmmError(
            "Item records name rows that the index does not have. Expected: "
            f"{FIRST_ROW} to {rows - 1}. Received: {wrong[:5].tolist()}. Run "
            "`item_media` again with this index."
        )
