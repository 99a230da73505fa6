"""Searches, clicks and items -> pairs, sent to the shard that writes them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.counters import count
from beam_jobs.item_facts import ItemFacts
from beam_jobs.kernels import hashes
from beam_jobs.kernels import pairs as kernel
from beam_jobs.kernels.columns import flat, ints
from beam_jobs.kernels.titles import titles
from beam_jobs.media_rows import WithMedia
from beam_jobs.pair_counts import (
    BOUGHT,
    UNUSED,
    USED,
    Media,
    count_clicks,
    count_pairs,
    count_searches,
    negatives,
)
from beam_jobs.pair_shards import PAIRS, placed, with_part
from beam_jobs.split_check import TEST, TRAIN
from beam_jobs.work import Work, shard_key
from tfmm.records.sources import CLICKED, ITEM, QUERIES, SEARCH
from tfmm.schema import Schema


class PairsOfSearches(WithMedia):
    """Batches of searches and what was bought in them -> every shard's pairs.

    Args:
        schema: The schema.
        index: Folder of the item index.
        work: The job's work.
        threads: Pictures decoded at a time.
        sources: `search`, `clicked` or both.
    """

    def __init__(
        self,
        schema: Schema,
        index: str,
        work: Work,
        threads: int,
        sources: Sequence[str],
    ) -> None:
        super().__init__(schema, "searches", index, work, threads)
        assert schema.searches is not None
        self._sources, self._joins = sources, schema.joins
        self.ticks = not schema.groups_queries
        self._column = schema.searches.query_image or schema.searches.query_text or ""
        self._facts: ItemFacts | None = None

    def sections(self, searches: pa.Table, *side: bytes) -> Mapping[int, bytes]:
        """Pairs of a batch, by shard.

        Args:
            searches: What `KnownSearches` gives, all rows of a search.
            *side: The items' facts, where the sources need them.
        """
        if side and self._facts is None:
            self._facts = ItemFacts(*side)
        paired = np.zeros(searches.num_rows, bool)
        reasons = np.full(searches.num_rows, "no_click", object)
        made = []
        if "clicked" in self._sources:
            places, pairs = self._clicked_pairs(searches)
            paired[places] = True
            made.append(with_part(pairs, searches, places))
        if "search" in self._sources:
            places, pairs, reasons = self._asked_pairs(searches)
            paired[places] = True
            made.append(with_part(pairs, searches, places))
            self._leave_out(searches, reasons)
        count_searches(searches, paired, reasons)
        if "clicked" in searches.column_names and "clicked" not in self._sources:
            owner, negative = negatives(searches)
            used = np.where(negative, np.where(paired[owner], USED, UNUSED), BOUGHT)
            count_clicks(searches, used, reasons[owner])
        if self._joins:
            for reason, amount in Counter(reasons[~paired].tolist()).items():
                count(f"purchases:dropped:{reason}", amount)
        return dict(placed(pa.concat_tables(made), self._work))

    def _asked_pairs(
        self, searches: pa.Table
    ) -> tuple[np.ndarray, pa.Table, np.ndarray]:
        """Pairs of the words and the picture searched for.

        Returns:
            The searches of the pairs, the pairs, and for all searches why there is no
            pair or no picture.
        """
        texts = pa.repeat("", searches.num_rows)
        if "query_text" in searches.column_names:
            texts = titles(searches["query_text"])
        images, reasons = self._pictures(searches)
        has = {
            name: pc.greater(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
            for name, values in (("image", images), ("text", texts))
        }
        asked = has["image"] | has["text"]
        reasons[(reasons == "") & ~asked] = "no_query"
        places = np.flatnonzero(asked)
        query = {name: of[places] for name, of in has.items()}
        _count(searches, places, SEARCH, query, self._media_of(searches, places))
        taken = (values.take(pa.array(places)) for values in (texts, images))
        return places, kernel.pairs(searches, places, SEARCH, *taken), reasons

    def _clicked_pairs(self, searches: pa.Table) -> tuple[np.ndarray, pa.Table]:
        """Pairs of clicked items that are not the bought one under another id."""
        assert self._facts is not None
        owner, clicked = flat(searches["clicked"])
        rows = clicked.to_numpy()
        bought = searches["item"].to_numpy()[owner]
        same = self._facts.groups(rows) == self._facts.groups(bought)
        has = {name: self._facts.has(name, rows) for name in QUERIES}
        bare = ~has["image"] & ~has["text"]
        used = np.select([same, bare], [BOUGHT, UNUSED], USED)
        count_clicks(searches, used, np.full(len(used), "no_media", object))
        kept = used == USED
        places = owner[kept]
        query = {name: of[kept] for name, of in has.items()}
        _count(searches, places, CLICKED, query, self._media_of(searches, places))
        pairs = kernel.pairs(searches, places, CLICKED, query_items=rows[kept])
        return places, pairs

    def _pictures(self, searches: pa.Table) -> tuple[pa.Array, np.ndarray]:
        """The query pictures, each search's read once, and why one is missing."""
        if "query_image" not in searches.column_names:
            none = np.full(searches.num_rows, "", object)
            return pa.repeat(b"", len(none)), none
        _, first, number = np.unique(
            ints(searches, "source"), return_index=True, return_inverse=True
        )
        values = searches["query_image"].take(pa.array(first)).to_pylist()
        made = self.pictures(values)
        given = [picture.reason for picture in made if picture.reason != "absent"]
        count("pictures:read", len(given))
        for reason, amount in Counter(filter(None, given)).items():
            count(f"pictures:dropped:{reason}", amount)
        reasons = [picture.reason.replace("absent", "") for picture in made]
        jpegs = pa.array([picture.jpeg for picture in made], pa.binary())
        return jpegs.take(pa.array(number)), np.array(reasons, object)[number]

    def _leave_out(self, searches: pa.Table, reasons: np.ndarray) -> None:
        """Dead letters of searches without a picture or any query, each once."""
        source, first = np.unique(searches["source"].to_numpy(), return_index=True)
        for place in np.flatnonzero(reasons[first] != "").tolist():
            self.leave_out(int(source[place]), self._column, reasons[first[place]])

    def _media_of(self, searches: pa.Table, places: np.ndarray) -> Media | None:
        """Which media the bought items have; `None` where no item records tell."""
        if self._facts is None:
            return None
        rows = searches["item"].to_numpy()[places]
        return {name: self._facts.has(name, rows) for name in QUERIES}


class PairsOfItems(beam.DoFn):
    """Items' facts -> (shard, pairs of items with themselves).

    Args:
        work: The job's work.
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
        rows = facts.rows[kept]
        items = pa.table(
            {
                "origin": rows,
                "search": np.full(len(rows), hashes.NOTHING),
                "time": np.zeros(len(rows), np.int64),
                "item": rows,
                "test": kernel.held_out(facts.groups(rows), self._test_share),
            }
        )
        places = np.arange(len(rows))
        query = {name: of[kept] for name, of in has.items()}
        _count(items, places, ITEM, query, query)
        pairs = kernel.pairs(items, places, ITEM, query_items=rows)
        for shard, made in placed(with_part(pairs, items, places), self._work):
            if not self._work.is_done(shard_key(shard)):
                yield shard, (PAIRS, made)


def _count(
    searches: pa.Table,
    places: np.ndarray,
    source: int,
    query: Media,
    item: Media | None,
) -> None:
    """Counts pairs by the part of their search."""
    test = searches["test"].to_numpy()[places]
    for part, chosen in ((TRAIN, ~test), (TEST, test)):
        own = {name: has[chosen] for name, has in query.items()}
        theirs = item and {name: has[chosen] for name, has in item.items()}
        count_pairs(part, source, own, theirs, pairs=int(chosen.sum()))
