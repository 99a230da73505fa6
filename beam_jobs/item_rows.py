"""Items -> their records, packed for the shard that writes them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from beam_jobs.chunks import by_shard, to_bytes
from beam_jobs.counters import count
from beam_jobs.kernels.pictures import Picture
from beam_jobs.kernels.promotion import promote
from beam_jobs.kernels.titles import title
from beam_jobs.media_rows import WithMedia
from tfmm.records.example import encode


class PackItems(WithMedia):
    """Batches of the table -> every shard's finished records, in a pack."""

    def sections(self, table: pa.Table, *side: Any) -> Mapping[int, bytes]:
        """Records of a batch, by shard, with their row and source to sort them by."""
        table = self.known(table, "id")
        own = self._own_pictures(table)
        titles = [title(text) for text in _optional(table, "title")]
        _count_own("titles", ["" if text else "empty" for text in titles])
        more_titles = _more_titles(table, titles)
        more_pictures = self._more_pictures(table, own)
        for name, promoted in (
            ("titles", promote(titles, more_titles, [x != "" for x in titles])),
            ("pictures", promote(own, more_pictures, [x.jpeg != b"" for x in own])),
        ):
            count(f"{name}:from_further", promoted)
        rows = self.index.rows_of(table["id"])
        equivalent = _optional(table, "equivalent")
        columns = (
            rows,
            table["id"].to_pylist(),
            titles,
            own,
            more_titles,
            more_pictures,
            equivalent,
        )
        records = [_record(*item) for item in zip(*columns, strict=True)]
        made = pa.table({"row": rows, "source": table["source"], "record": records})
        parts = by_shard(made, rows, self._work.shards)
        return {shard: to_bytes(part) for shard, part in parts}

    def _own_pictures(self, table: pa.Table) -> list[Picture]:
        """Every row's own picture; dead letters of the bad."""
        found = self.pictures(_optional(table, "image"))
        _count_own("pictures", [made.reason for made in found])
        count("pictures:first_frame", sum(made.first_frame for made in found))
        for source, made in zip(table["source"].to_pylist(), found, strict=True):
            if made.reason not in ("", "absent"):
                self.leave_out(source, self._table.image, made.reason)
        return found

    def _more_pictures(
        self, table: pa.Table, own: list[Picture]
    ) -> list[list[Picture]]:
        """Per row the further pictures, each once; dead letters of the bad."""
        lists = _lists(table, "more_images_")
        values = [value for given in lists for _, value in given]
        every = iter(self.pictures(values))
        result = []
        for source, first, given in zip(
            table["source"].to_pylist(), own, lists, strict=True
        ):
            kept: dict[bytes, Picture] = {}
            for (role, _), made in zip(given, every, strict=False):
                repeated = made.digest in kept or made.digest == first.digest
                reason = made.reason or ("repeated" if repeated else "")
                count("more_pictures:read")
                count(f"more_pictures:dropped:{reason}", bool(reason))
                if made.reason not in ("", "absent"):
                    column = self._table.columns()[role][0]
                    self.leave_out(source, column, made.reason)
                if not reason:
                    kept[made.digest] = made
            result.append(list(kept.values()))
        return result


def _count_own(name: str, reasons: list[str]) -> None:
    count(f"{name}:read", len(reasons))
    for reason in filter(None, reasons):
        count(f"{name}:dropped:{reason}")


def _more_titles(table: pa.Table, titles: list[str]) -> list[list[str]]:
    """Per row the titles in other languages, each once."""
    result = []
    for own, given in zip(titles, _lists(table, "more_titles_"), strict=True):
        kept = {own: None}
        for _, text in given:
            clean = title(text)
            reason = "empty" if not clean else "repeated" if clean in kept else ""
            count("more_titles:read")
            count(f"more_titles:dropped:{reason}", bool(reason))
            kept[clean] = None
        result.append([text for text in kept if text and text != own])
    return result


def _optional(table: pa.Table, role: str) -> list[Any]:
    if role not in table.column_names:
        return [None] * table.num_rows
    return table[role].to_pylist()


def _lists(table: pa.Table, prefix: str) -> list[list[tuple[str, Any]]]:
    """Per row the values of all list columns of a role, each with its column's role."""
    found: list[list[tuple[str, Any]]] = [[] for _ in range(table.num_rows)]
    for role in table.column_names:
        if role.startswith(prefix):
            for own, values in zip(found, table[role].to_pylist(), strict=True):
                own += [(role, value) for value in values or ()]
    return found


def _record(
    row: int,
    item_id: str,
    title: str,
    picture: Picture,
    more_titles: list[str],
    more_pictures: list[Picture],
    equivalent: str | None,
) -> bytes:
    return encode(
        {
            "row": np.array([row]),
            "item_id": [item_id.encode()],
            "title": [title.encode()],
            "image": [picture.jpeg],
            "image_hash": [picture.digest],
            "image_phash": [picture.look],
            "image_width": np.array([picture.width]),
            "image_height": np.array([picture.height]),
            "more_titles": [text.encode() for text in more_titles],
            "more_images": [made.jpeg for made in more_pictures],
            "equivalent": [(equivalent or "").encode()],
        }
    )
