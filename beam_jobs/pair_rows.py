"""Searches, clicks and items -> pairs, sent to the shard that writes them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.chunks import by_shard, to_bytes, to_table
from beam_jobs.counters import count
from beam_jobs.item_facts import ItemFacts
from beam_jobs.kernels import pairs as kernel
from beam_jobs.kernels.pictures import Picture
from beam_jobs.kernels.titles import title
from beam_jobs.media_rows import WithMedia
from beam_jobs.packs import read_sections
from beam_jobs.pair_counts import Media, count_negatives, count_pairs
from beam_jobs.search_split import SearchSplit
from beam_jobs.split_check import PARTS, TEST, TRAIN, part_of
from beam_jobs.work import Work, file_name, shard_key
from tfmm.records.index import UNKNOWN_ROW
from tfmm.records.sources import CLICKED, ITEM, QUERIES, SEARCH
from tfmm.records.tfrecord import framed
from tfmm.schema import Schema

Pair = dict[str, Any]
# What travels to a shard: pairs, the place of pairs in a pack, or nothing.
PAIRS, PLACE, NOTHING = "pairs", "place", ""


class PairsOfSearches(WithMedia):
    """Batches of searches -> every shard's pairs, in a pack.

    Args:
        schema: The schema.
        index: Folder of the item index.
        work: The job's work.
        threads: Pictures decoded at a time.
        split: Which searches are the test; a supplied `part` goes before it.
        sources: `search`, `clicked` or both.
    """

    def __init__(
        self,
        schema: Schema,
        index: str,
        work: Work,
        threads: int,
        split: SearchSplit,
        sources: Sequence[str],
    ) -> None:
        super().__init__(schema, "searches", index, work, threads)
        assert schema.searches is not None
        self._split, self._sources = split, sources
        self._part = schema.searches.part
        self._column = schema.searches.query_image or schema.searches.query_text or ""
        self._facts: ItemFacts | None = None

    def sections(self, table: pa.Table, *side: bytes) -> Mapping[int, bytes]:
        """Pairs of a batch, by shard.

        Args:
            table: The batch.
            *side: The items' facts, where the sources need them.
        """
        if side and self._facts is None:
            self._facts = ItemFacts(*side)
        table = self._parted(self.known(table, "bought"))
        made: dict[str, list[Pair]] = {part: [] for part in PARTS}
        images = self._images(table)
        rows = self.index.rows_of(table["bought"]).tolist()
        ids = table["search"].to_pylist() if "search" in table.column_names else []
        hashes = kernel.search_hashes(ids) or [kernel.NO_SEARCH] * len(rows)
        others = table.drop_columns(
            [name for name in table.column_names if name == "query_image"]
        )
        for row, search, key, image in zip(
            rows, others.to_pylist(), hashes, images, strict=True
        ):
            clicked = self._clicked(search.get("clicked"))
            pair = _pair(search["source"], row, search["time"], key)
            pair["negatives"] = [other for other in clicked if other != row]
            found, reason = list(self._clicked_pairs(pair, clicked, search)), "no_click"
            if "search" in self._sources:
                asked, reason = self._asked(pair, search, image)
                found += asked
            if not found:
                count(f"searches:dropped:{reason}")
            if "clicked" not in self._sources:
                left_out = "" if found else reason
                count_negatives(len(clicked), len(pair["negatives"]), left_out)
            count(f"searches:{search['part']}", bool(found))
            made[search["part"]] += found
        tables = [_table(part, pairs) for part, pairs in made.items()]
        return dict(placed(pa.concat_tables(tables), self._work))

    def _parted(self, table: pa.Table) -> pa.Table:
        """The table with every row's part, by the split or as supplied."""
        if not self._part:
            parts = pa.array(np.where(self._split.is_test(table), TEST, TRAIN))
            return table.append_column("part", parts.cast(pa.string()))
        parts = part_of(table["part"])
        table = table.set_column(table.column_names.index("part"), "part", parts)
        for source in table["source"].filter(parts.is_null()).to_pylist():
            count("searches:dropped:not_part")
            self.leave_out(source, self._part, "not_part")
        return table.filter(parts.is_valid())

    def _asked(
        self, pair: Pair, search: dict[str, Any], image: Picture
    ) -> tuple[list[Pair], str]:
        """The pair of the words and the picture searched for, or why there is none."""
        text = title(search.get("query_text"))
        reason = "" if image.reason == "absent" else image.reason
        if not (reason or text or image.jpeg):
            reason = "no_query"
        if reason:
            self.leave_out(search["source"], self._column, reason)
        if not (text or image.jpeg):
            return [], reason
        query = {"image": bool(image.jpeg), "text": bool(text)}
        count_pairs(search["part"], SEARCH, query, self._media_of(pair["item"]))
        return [pair | {"query_text": text, "query_image": image.jpeg}], ""

    def _clicked_pairs(
        self, pair: Pair, clicked: list[int], search: dict[str, Any]
    ) -> Iterator[Pair]:
        """The pairs of clicked items that are not the bought one under another id."""
        if "clicked" not in self._sources:
            return
        assert self._facts is not None
        rows = np.array(clicked, np.int64)
        same = self._facts.groups(rows) == self._facts.groups(np.array([pair["item"]]))
        has = {name: self._facts.has(name, rows) for name in QUERIES}
        bare = ~same & ~has["image"] & ~has["text"]
        count("clicked:dropped:bought_item", int(same.sum()))
        count("clicked:dropped:no_media", int(bare.sum()))
        bought = self._media_of(pair["item"])
        for place in np.flatnonzero(~same & ~bare).tolist():
            query = {name: bool(has[name][place]) for name in has}
            count_pairs(search["part"], CLICKED, query, bought)
            yield pair | {"source": CLICKED, "query_item": clicked[place]}

    def _media_of(self, row: int) -> Media | None:
        """Which media the item has; `None` where no item records tell."""
        if self._facts is None:
            return None
        rows = np.array([row])
        return {name: bool(self._facts.has(name, rows)[0]) for name in QUERIES}

    def _images(self, table: pa.Table) -> list[Picture]:
        """Every search's picture, where pairs are made of what was searched for."""
        if "search" not in self._sources or "query_image" not in table.column_names:
            return [Picture(reason="absent")] * table.num_rows
        found = self.pictures(table["query_image"].to_pylist())
        for made in found:
            if made.reason != "absent":
                count("pictures:read")
                count(f"pictures:dropped:{made.reason}", bool(made.reason))
        return found

    def _clicked(self, ids: Sequence[str] | None) -> list[int]:
        """Catalog rows of clicked items that the index knows, each once."""
        given = [item for item in ids or () if item]
        if not given:
            return []
        rows = self.index.rows_of(given)
        known = rows[rows != UNKNOWN_ROW]
        kept = np.unique(known).tolist()
        count("clicked:read", len(given))
        count("clicked:dropped:not_in_index", len(given) - len(known))
        count("clicked:dropped:repeated", len(known) - len(kept))
        return kept


class PairsOfItems(beam.DoFn):
    """Items' facts -> (shard, pairs of items with themselves).

    Args:
        test_share: Share of all groups of items that is kept for the test: titles
            and photos have no time to split by.
    """

    def __init__(self, work: Work, test_share: float) -> None:
        self._work, self._test_share = work, test_share

    def process(self, data: bytes) -> Iterator[tuple[int, tuple[str, bytes]]]:
        """Pairs of all items that have a title or a photo."""
        facts = ItemFacts(data)
        has = {name: facts.has(name, facts.rows) for name in QUERIES}
        kept = has["image"] | has["text"]
        count("items:read", len(facts.rows))
        count("items:dropped:no_media", int((~kept).sum()))
        tested = kernel.held_out(facts.groups(facts.rows), self._test_share)
        for part, chosen in ((TRAIN, kept & ~tested), (TEST, kept & tested)):
            query = {name: chosen & has[name] for name in QUERIES}
            count_pairs(part, ITEM, query, has, pairs=int(chosen.sum()))
            pairs = [
                _pair(row, row, 0) | {"source": ITEM, "query_item": row}
                for row in facts.rows[chosen].tolist()
            ]
            for shard, made in placed(_table(part, pairs), self._work):
                if not self._work.is_done(shard_key(shard)):
                    yield shard, (PAIRS, made)


class WriteShard(beam.DoFn):
    """(shard, [(`PAIRS` or `PLACE`, data)]) -> the shard's file of every part.

    Args:
        work: The job's work.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def process(self, group: tuple[int, Iterable[tuple[str, bytes]]]) -> Iterator[None]:
        """Writes one shard."""
        number, chunks = group
        given: dict[str, list[bytes]] = {PAIRS: [], PLACE: [], NOTHING: []}
        for kind, data in chunks:
            given[kind].append(data)
        name = file_name("pairs", number, self._work.shards)
        with self._work.unit(shard_key(number)) as unit:
            packed = read_sections(self._work, given[PLACE])
            tables = map(to_table, [*given[PAIRS], *packed])
            table = pa.concat_tables([_table("", []), *tables])
            for part in PARTS:
                pairs = table.filter(pc.equal(table["part"], part))
                records = kernel.records(pairs.drop_columns("part"))
                unit.write(f"{part}/{name}", map(framed, records))
        yield None


def placed(table: pa.Table, work: Work) -> Iterator[tuple[int, bytes]]:
    """Pairs by their shard; those of one search go to one."""
    search, origin = table["search"].to_numpy(), table["origin"].to_numpy()
    keys = np.where(search != kernel.NO_SEARCH, search, origin)
    for shard, group in by_shard(table, keys, work.shards):
        yield shard, to_bytes(group)


def _table(part: str, pairs: list[Pair]) -> pa.Table:
    table = pa.Table.from_pylist(pairs, kernel.SCHEMA)
    return table.append_column("part", pa.repeat(part, len(pairs)))


def _pair(origin: int, item: int, time: int, search: int = kernel.NO_SEARCH) -> Pair:
    return {
        "origin": origin,
        "search": search,
        "time": time,
        "source": SEARCH,
        "query_text": "",
        "query_image": b"",
        "query_item": 0,
        "item": item,
        "negatives": [],
    }
