"""Blocks of item vectors, and the catalog's tables made of them."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_jobs.kernels.encoder_inputs import DIGEST_BYTES
from tfmm.catalog import VectorTable
from tfmm.errors import TfmmError
from tfmm.records.index import FIRST_ROW

_PARTS = ("codes", "inverse_norm", "present")
_ABSENT, _UNREADABLE, _NO_MEDIA = "absent", "unreadable", "no_media"

Tables = Mapping[str, VectorTable]


@dataclass(frozen=True)
class Block:
    """The vectors of some items.

    Attributes:
        rows: int64 `[B]`, catalog rows.
        digests: uint8 `[B, 16]`, digests of their media.
        given: Per modality, which items have media for it, bool `[B]`.
        tables: Per modality, the quantised vectors of these rows; `None` where those
            of an earlier run stay.
    """

    rows: np.ndarray
    digests: np.ndarray
    given: Mapping[str, np.ndarray]
    tables: Tables | None = None


@dataclass(frozen=True)
class Assembled:
    """All blocks by catalog row.

    Attributes:
        tables: Per modality, the vectors.
        digests: uint8 `[rows, 16]`, digests of the items' media, zeros without record.
        given: Per modality, which rows have media for it, bool `[rows]`.
        encoded: Number of items that went through the encoder.
    """

    tables: dict[str, VectorTable]
    digests: np.ndarray
    given: dict[str, np.ndarray]
    encoded: int

    def counts(self, earlier: np.ndarray) -> dict[str, Any]:
        """Items read, written and dropped, also by modality; and what was new.

        Args:
            earlier: uint8 `[rows, 16]`, digests of an earlier run; none without one.
        """
        items = _any(self.digests)
        anything = np.any([table.present for table in self.tables.values()], axis=0)
        before = np.zeros_like(self.digests)
        before[: len(earlier)] = earlier
        known = _any(before)
        changed = known & items & _any(before != self.digests)
        read = int(items.sum())
        return {
            **_counts(items, {_NO_MEDIA: ~anything}),
            "modalities": {
                name: _counts(
                    items,
                    {
                        _ABSENT: ~self.given[name],
                        _UNREADABLE: self.given[name] & ~table.present,
                    },
                )
                for name, table in self.tables.items()
            },
            "encoded": self.encoded,
            "taken_over": read - self.encoded,
            "changed": int(changed.sum()),
            "gone": int((known & ~items).sum()),
        }


def to_npz(block: Block) -> bytes:
    """A block as the content of an npz file."""
    arrays = {f"given.{name}": given for name, given in block.given.items()} | {
        f"{name}.{part}": getattr(table, part)
        for name, table in (block.tables or {}).items()
        for part in _PARTS
    }
    made = io.BytesIO()
    np.savez(made, rows=block.rows, digests=block.digests, **arrays)
    return made.getvalue()


def end_to_end(parts: Sequence[Tables]) -> dict[str, VectorTable]:
    """Tables one after the other, as one per modality."""
    return {
        name: VectorTable(
            *(
                np.concatenate([getattr(x[name], part) for x in parts])
                for part in _PARTS
            )
        )
        for name in parts[0]
    }


def assemble(
    blocks: Iterable[bytes],
    dimensions: Mapping[str, int],
    rows: int,
    earlier: Tables | None = None,
) -> Assembled:
    """All blocks as one table per modality; other rows are absent.

    Args:
        blocks: What `to_npz` made of them.
        dimensions: Length of the vectors per modality.
        rows: Number of catalog rows.
        earlier: Vectors of an earlier run, where blocks leave them as they are.

    Raises:
        TfmmError: If a row is beyond the catalog's, or an item came twice.
    """
    made = Assembled(
        {
            name: VectorTable(
                np.zeros((rows, dimension), np.int8),
                np.zeros(rows, np.float32),
                np.zeros(rows, bool),
            )
            for name, dimension in dimensions.items()
        },
        np.zeros((rows, DIGEST_BYTES), np.uint8),
        {name: np.zeros(rows, bool) for name in dimensions},
        0,
    )
    items = encoded = 0
    for data in blocks:
        with np.load(io.BytesIO(data), allow_pickle=False) as block:
            at = block["rows"]
            _check_rows(at, rows)
            made.digests[at] = block["digests"]
            new = any(f"{name}.codes" in block for name in dimensions)
            items, encoded = items + len(at), encoded + new * len(at)
            for name, table in made.tables.items():
                made.given[name][at] = block[f"given.{name}"]
                for part in _PARTS:
                    getattr(table, part)[at] = (
                        block[f"{name}.{part}"]
                        if new
                        else getattr((earlier or {})[name], part)[at]
                    )
    _check_once(made.digests, items)
    return Assembled(made.tables, made.digests, made.given, encoded)


def _any(values: np.ndarray) -> np.ndarray:
    """Which rows hold anything, bool `[rows]`."""
    return np.any(values, axis=1)


def _counts(items: np.ndarray, why: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """`read`, `written` and `dropped`; reasons exclude each other."""
    dropped = {
        name: int(left_out.sum())
        for name, rows in why.items()
        if (left_out := items & rows).any()
    }
    read = int(items.sum())
    return {"read": read, "written": read - sum(dropped.values()), "dropped": dropped}


def _check_rows(at: np.ndarray, rows: int) -> None:
    wrong = at[(at < FIRST_ROW) | (at >= rows)]
    if len(wrong):
        raise TfmmError(
            "Item records name rows that the index does not have. Expected: "
            f"{FIRST_ROW} to {rows - 1}. Received: {wrong[:5].tolist()}. Run "
            "`item_media` again with this index."
        )


def _check_once(digests: np.ndarray, items: int) -> None:
    found = int(_any(digests).sum())
    if found != items:
        raise TfmmError(
            "Item records hold an item twice. Expected: a row of its own for each of "
            f"{items} records. Received: {found} rows. Run `item_media` again."
        )
