"""Opening a folder of pair records."""

from collections.abc import Sequence
from pathlib import Path

from tfmm.data.item_media import record_files
from tfmm.errors import TfmmError
from tfmm.records.example import decode
from tfmm.records.manifest import read_manifest
from tfmm.records.sources import SEARCH, SOURCES, check_sources
from tfmm.records.tfrecord import read_records


def open_pairs(
    folder: str | Path, sources: Sequence[str] | None
) -> tuple[list[str], int]:
    """The record files and the number of pairs of the sources.

    Args:
        folder: Pair records, with their manifest.
        sources: Which sources count; all when absent.

    Raises:
        TfmmError: If there is no such pair.
    """
    files, manifest = record_files(folder, "pairs"), read_manifest(folder)
    count = manifest["counts"].get("written", 0)
    if sources:
        chosen = check_sources(sources)
        found = manifest.get("sources") or _counted(files)
        count = sum(found.get(name, {}).get("pairs", 0) for name in chosen)
    if not files or not count:
        asked = f" of the sources {', '.join(sources)}" if sources else ""
        raise TfmmError(
            f"`{folder}` holds no pairs{asked}. Received: {len(files)} record files, "
            f"{count} such pairs. Check the drops in its manifest, the sources and the "
            "split's date."
        )
    return files, count


def _counted(files: list[str]) -> dict[str, dict[str, int]]:
    """Pairs by source, where no manifest tells."""
    found = {name: {"pairs": 0} for name in SOURCES}
    for file in files:
        for record in read_records(file):
            code = next(iter(decode(record).get("source", [])), SEARCH)
            found[SOURCES[code]]["pairs"] += 1
    return found


def check_lineage(folder: str | Path, other: str | Path) -> None:
    """Refuses pairs whose rows mean other items than another folder's.

    Args:
        folder: Pair records.
        other: Item records, or further pair records.

    Raises:
        TfmmError: If the two are of different item indexes, or one does not say.
    """
    ours, theirs = (_lineage(path) for path in (folder, other))
    if ours != theirs:
        raise TfmmError(
            f"`{folder}` and `{other}` are of different item indexes. Received: "
            f"lineages {ours} and {theirs}. Write both with the same index."
        )


def _lineage(folder: str | Path) -> str:
    stamp = read_manifest(folder).get("index") or {}
    if not (found := stamp.get("lineage")):
        raise TfmmError(
            f"`{folder}` does not say which item index its rows are of. Expected: an "
            "`index` with a lineage in its manifest. Received: none. Write it again "
            "with `index=ItemIndex.open(...).stamp()`, of the index in use."
        )
    return found
