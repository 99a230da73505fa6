"""Vectors of an earlier run that items without a change keep."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from beam_jobs import files
from beam_jobs.kernels.encoder_inputs import DIGEST_BYTES
from tfmm.catalog import Catalog, VectorTable
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest

KIND = "catalog"
# By catalog row, digests of what the encoder read; beside the catalog's tables.
DIGESTS = "media_digests"


@dataclass(frozen=True)
class Earlier:
    """What an earlier run left.

    Attributes:
        tables: Per modality, its vectors.
        digests: uint8 `[rows, 16]`, digests of the items' media.
        others: Modalities of this run that have another encoder now, or had none. If
            there are any, no vector can be kept.
    """

    tables: Mapping[str, VectorTable]
    digests: np.ndarray
    others: list[str]


NOTHING = Earlier({}, np.zeros((0, DIGEST_BYTES), np.uint8), [])


def earlier_of(folder: str, index: ItemIndex, sources: Mapping[str, str]) -> Earlier:
    """Opens the catalog of an earlier run, every file's checksum compared.

    Args:
        folder: Its folder.
        index: The item index of this run, grown from its own.
        sources: Per modality, the id of this run's encoder.

    Raises:
        TfmmError: If it is damaged, was not made by this job or has another index.
    """
    place = files.fetched(folder)
    found = read_manifest(place, KIND, verify=True)
    index.check(found["index"], f"`{folder}`")
    if f"{DIGESTS}.npy" not in found["files"]:
        raise TfmmError(
            f"`{folder}` does not say what its vectors were made of. Expected: a "
            f"catalog with {DIGESTS}.npy, as `embed_items` writes it. Received: "
            f"{', '.join(sorted(found['files']))}. Run once without `--previous`."
        )
    catalog = Catalog.open(place)
    digests = earlier_digests(folder)
    if digests.shape != (catalog.rows, DIGEST_BYTES) or digests.dtype != np.uint8:
        raise TfmmError(
            f"`{folder}` is damaged: {DIGESTS}.npy does not fit it. Expected: uint8 "
            f"{[catalog.rows, DIGEST_BYTES]}. Received: {digests.dtype} "
            f"{list(digests.shape)}. Run once without `--previous`."
        )
    others = [name for name, id in sources.items() if catalog.sources.get(name) != id]
    return Earlier(catalog.modalities, digests, others)


def earlier_digests(folder: str) -> np.ndarray:
    """The digests of a catalog, memory-mapped; of a remote one only they are copied."""
    place = files.fetched(folder, [f"{DIGESTS}.npy"])
    return np.load(place / f"{DIGESTS}.npy", mmap_mode="r", allow_pickle=False)
