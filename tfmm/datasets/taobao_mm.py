"""Taobao-MM, the public industrial log with SCL vectors, as this package's records."""

import dataclasses
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tfmm.catalog import Catalog
from tfmm.datasets import taobao_mm_facts as taken
from tfmm.datasets.taobao_mm_columns import Share
from tfmm.datasets.taobao_mm_facts import KIND, Facts
from tfmm.datasets.taobao_mm_files import PARTS, Files, Progress, find_files
from tfmm.datasets.taobao_mm_items import targets, vector_ids
from tfmm.datasets.taobao_mm_tally import Tally
from tfmm.datasets.taobao_mm_timelines import write_part
from tfmm.datasets.taobao_mm_users import Reading, groups
from tfmm.datasets.taobao_mm_vectors import catalog
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest, write_manifest, writing
from tfmm.records.timeline import KIND as TIMELINES
from tfmm.records.vocabularies import Vocabularies

_USERS = 256


@dataclasses.dataclass(frozen=True)
class TaobaoMM:
    """The public data set of MUSE, streamed into index, catalog and timelines.

    99 million shown items of 9 million users, each with up to 1,000 earlier
    behaviours, and int8 SCL vectors of 35 million items. The files have no times: a
    user's history comes before all its rows, `train` and `test` are what they are, and
    a user's rows of one part are one request, in the order of the files. Shares of
    users by `id mod n` are those of independent reruns.

    An item is in the index when a chosen user saw it, or when it has a vector and is
    in a chosen user's history; further items of histories are unknown ones. Memory
    grows with the vocabulary alone, never with users, rows or histories.

    Args:
        source: Folder of the public files: with `raw/`, which is read where it is
            complete, or with the shards `train/` and `test/`.
        users_fraction: 1, 0.1, 0.01 or another `1 / n`.
        max_history: Newest behaviours kept of each user.
        max_items: Most candidates of a request; a user with more rows has several.
        min_count: Occurrences in training from which an item has its own embedding.

    Example:
        >>> TaobaoMM("/data/taobao_mm", users_fraction=0.01).share.divisor
        100

    Reference:
        MUSE, https://arxiv.org/abs/2512.07216, section 6 and Table 5.
    """

    source: str | Path
    users_fraction: float = 1.0
    max_history: int = 1000
    max_items: int = 64
    min_count: int = 1

    @property
    def share(self) -> Share:
        """Which users are taken."""
        return Share(self.users_fraction)

    def files(self) -> list[str | Path]:
        """All files that are read."""
        found = find_files(self.source)
        tables = [found.samples, found.users or {}]
        parts = [path for table in tables for some in table.values() for path in some]
        return [*parts, *found.items, found.vectors]

    def convert(
        self, folder: str | Path, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Writes all of it below a folder; returns the timelines' manifest.

        Args:
            folder: Takes `input`, `index`, `vocabularies`, `timelines` and `catalog`.
            progress: Called with what is read, rows done and rows in all.
        """
        folder = Path(folder)
        facts, index = folder / "input", folder / "index"
        self.scan(facts, progress)
        self.item_index(facts, index)
        self.vocabularies(facts, index, folder / "vocabularies")
        self.catalog(index, folder / "catalog", progress)
        return self.timelines(
            index, folder / "vocabularies", folder / "timelines", progress
        )

    def scan(self, folder: str | Path, progress: Progress | None = None) -> None:
        """Reads everything once: which ids and values occur, and how often.

        Args:
            folder: Takes the facts that the other methods need.
            progress: Called with what is read, rows done and rows in all.

        Raises:
            TfmmError: If files or columns are missing, or no user is left.
        """
        files, items = find_files(self.source), Counter[str]()
        shown, features = targets(files, self.share, items, progress)
        known = vector_ids(files, progress)
        items["with_vector"] = len(known)
        tally = Tally(np.union1d(known, shown), shown, features)
        counts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
        with writing(folder) as tmp:
            reading = self._reading(files, tmp, progress)
            for part in PARTS:
                for users in groups(reading.users(part, counts[part]), _USERS):
                    tally.add(users, train=part == "train")
            self._require_users(counts)
            facts = Facts.of(tally)
            items["written"] = len(facts.ids)
            facts.save(tmp)
            write_manifest(
                tmp,
                kind=KIND,
                counts=_row_counts(counts),
                layout=files.layout,
                source={part: nested(counts[part]) for part in PARTS},
                items=dict(items),
                unknown_events=tally.unknown_events,
            )

    def item_index(self, facts: str | Path, folder: str | Path) -> None:
        """Writes the item index of a scan's ids."""
        ItemIndex.of_integers(np.asarray(Facts.open(facts).ids)).save(folder)

    def vocabularies(
        self, facts: str | Path, index: str | Path, folder: str | Path
    ) -> None:
        """Writes the vocabularies of a scan: all values and users of training."""
        found, counts = taken.vocabularies(
            Facts.open(facts),
            ItemIndex.open(index),
            self.max_history,
            self.max_items,
            self.min_count,
        )
        found.save(folder, counts)

    def timelines(
        self,
        index: str | Path,
        vocabularies: str | Path,
        folder: str | Path,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Writes `train` and `test` timelines; returns their manifest.

        Args:
            index: Folder of the item index.
            vocabularies: Folder of the vocabularies.
            folder: Where the timelines go.
            progress: Called with what is read, rows done and rows in all.
        """
        items = ItemIndex.open(index)
        spec = Vocabularies.open(vocabularies, items).spec
        files = find_files(self.source)
        counts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
        written = {}
        with writing(folder) as tmp:
            reading = self._reading(files, tmp, progress)
            for part in PARTS:
                (tmp / part).mkdir()
                users = reading.users(part, counts[part])
                written[part] = write_part(tmp / part, users, items, spec)
                write_manifest(
                    tmp / part,
                    kind=TIMELINES,
                    counts=written[part],
                    index=items.stamp(),
                    spec=spec.to_dict(),
                )
            self._require_users(counts)
            write_manifest(
                tmp,
                kind="timeline_sets",
                counts=_row_counts(counts),
                source={part: nested(counts[part]) for part in PARTS},
                parts=written,
                index=items.stamp(),
            )
        return read_manifest(folder)

    def catalog(
        self, index: str | Path, folder: str | Path, progress: Progress | None = None
    ) -> Catalog:
        """Writes the catalog of the published int8 vectors and opens it."""
        parent = Path(folder).absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="vectors-", dir=parent) as scratch:
            items, files = ItemIndex.open(index), find_files(self.source)
            catalog(files, items, Path(scratch), progress).save(folder)
        return Catalog.open(folder)

    def _reading(
        self, files: Files, scratch: Path, progress: Progress | None
    ) -> Reading:
        return Reading(files, self.share, self.max_history, scratch, progress)

    def _require_users(self, counts: dict[str, Counter[str]]) -> None:
        for part, found in counts.items():
            if not found["users:written"]:
                raise TfmmError(
                    f"No user of `{self.source}` is left in {part}. Received: "
                    f"{nested(found)}. Take a larger `users_fraction`, and copy the "
                    "tables of samples and of users from one version of the data set."
                )


def _row_counts(counts: dict[str, Counter[str]]) -> dict[str, Any]:
    """Rows of all parts together, as manifests count them."""
    rows = nested(sum(counts.values(), Counter[str]()))["rows"]
    return {"read": rows["read"], "written": rows["written"]} | {
        "dropped": rows.get("dropped", {})
    }


def nested(counts: Counter[str]) -> dict[str, Any]:
    """Counts with names like `rows:dropped:no_item` as mappings in mappings.

    Example:
        >>> nested(Counter({"rows:read": 3, "rows:dropped:no_item": 1}))
        {'rows': {'read': 3, 'dropped': {'no_item': 1}}}
    """
    found: dict[str, Any] = {}
    for name, count in counts.items():
        *path, last = name.split(":")
        inner = found
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = count
    return found
