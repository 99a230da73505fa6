"""A catalog on disk: plain .npy tables, the item index, a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfmm.catalog.quantise import QUANTISATION, VectorTable
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest, write_manifest, writing

KIND = "catalog"
_PARTS = ("codes", "inverse_norm", "present")


def save_tables(
    folder: str | Path,
    index: ItemIndex,
    tables: Mapping[str, VectorTable],
    *,
    counts: Mapping[str, Any],
    sources: Mapping[str, str],
    fingerprint: str,
    beside: Mapping[str, NDArray[Any]],
) -> None:
    """Writes `MODALITY.PART.npy` files and `index/`, whole or not at all.

    What is `beside` becomes `NAME.npy` files; `open_tables` leaves them alone.
    """
    with writing(folder) as tmp:
        index.save(tmp / "index")
        for name, table in tables.items():
            for part in _PARTS:
                np.save(tmp / f"{name}.{part}.npy", getattr(table, part))
        for name, array in beside.items():
            np.save(tmp / f"{name}.npy", array)
        facts = {
            name: {
                "source": sources[name],
                "dimension": table.dimension,
                "quantisation": QUANTISATION,
                "present": int(table.present.sum()),
            }
            for name, table in tables.items()
        }
        write_manifest(
            tmp,
            kind=KIND,
            counts=counts,
            index=index.stamp(),
            fingerprint=fingerprint,
            modalities=facts,
        )


def open_tables(
    folder: str | Path,
) -> tuple[ItemIndex, dict[str, VectorTable], dict[str, str], dict[str, Any]]:
    """Reads index, tables (memory-mapped), sources and counts.

    Raises:
        TfmmError: an unfinished or foreign folder.
    """
    folder = Path(folder)
    manifest = read_manifest(folder, kind=KIND)
    index = ItemIndex.open(folder / "index")
    index.check(manifest["index"], f"`{folder}`")
    tables, sources = {}, {}
    for name, facts in manifest["modalities"].items():
        if facts["quantisation"] != QUANTISATION:
            raise TfmmError(
                f"`{folder}` is quantised in another way. Expected: {QUANTISATION}. "
                f"Received: {facts['quantisation']}. Build the catalog again."
            )
        tables[name] = VectorTable(*(_load(folder, name, part) for part in _PARTS))
        sources[name] = facts["source"]
    return index, tables, sources, manifest["counts"]


def _load(folder: Path, name: str, part: str) -> NDArray[Any]:
    path = folder / f"{name}.{part}.npy"
    return np.load(path, mmap_mode="r", allow_pickle=False)
