"""Searches and purchases of one user meet in one shard, and make pairs there."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import files
from beam_jobs.chunks import by_shard, joined, to_bytes, to_table
from beam_jobs.counters import count
from beam_jobs.item_facts import ItemFacts
from beam_jobs.kernels import purchase_pairs
from beam_jobs.kernels.columns import ints
from beam_jobs.kernels.hashes import combined, keyed, of_lists, of_values
from beam_jobs.kernels.search_purchases import REASONS, Joined, join, own_groups
from beam_jobs.kernels.titles import titles
from beam_jobs.known_searches import clicked_rows, rows_in_lists
from beam_jobs.pair_counts import count_left_out
from beam_jobs.read_table import ReadTable, files_of, letter_of
from beam_jobs.search_split import roles_read
from beam_jobs.with_index import WithIndex
from beam_jobs.work import PACKS, Work
from tfmm.records.index import UNKNOWN_ROW
from tfmm.schema import PerUserLastFraction, Schema

_SEARCHES, _PURCHASES = "searches", "purchases"
_KEY_BYTES = 32
_ENDS = ".end"
# Shard, table and chunk.
_Placed = tuple[int, tuple[str, bytes]]


class JoinPurchases(beam.PTransform):
    """Searches and events -> chunks for `PairsOfSearches`; see `tfmm.schema.Pairs`.

    Users are told apart by hashes with a key that is made here, travels to the
    workers and is never kept: nothing that is written depends on it.

    Args:
        schema: The schema, whose searches name no bought item.
        index: Folder of the item index.
        work: The job's work.
        sources: Sources of pairs; for `clicked`, searches need no query.
        facts: What `ReadItemFacts` gives, where items tell which of them are the same.
    """

    def __init__(
        self,
        schema: Schema,
        index: str,
        work: Work,
        sources: Sequence[str],
        facts: Any = None,
    ) -> None:
        super().__init__()
        self._schema, self._work = schema, work
        secret = os.urandom(_KEY_BYTES)
        self._searches = _Searches(index, work, secret, "clicked" not in sources)
        self._purchases = _Purchases(index, work, secret, schema)
        self._side = [] if facts is None else [beam.pvalue.AsSingleton(facts)]

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Reads, hashes, groups and joins."""
        schema, work = self._schema, self._work
        searches = begin | ReadTable(schema, "searches", work, roles_read(schema))
        events = begin | ReadTable(schema, "events", work)
        return (
            (
                searches | "Hash searches" >> beam.ParDo(self._searches),
                events | "Hash purchases" >> beam.ParDo(self._purchases),
            )
            | "Searches and purchases" >> beam.Flatten()
            | "By user" >> beam.GroupByKey()
            | "Join" >> beam.ParDo(_Join(schema, work), *self._side)
        )


def first_test_of(work: Work) -> int:
    """The first moment after any user's training, once the join is done."""
    folder = work.path(PACKS)
    ends = [files.read(files.join(folder, x)) for x in files.names(folder, _ENDS)]
    return min(map(int, ends), default=purchase_pairs.NEVER)


class _ByUser(WithIndex):
    """Chunks of a table -> the shards of their users."""

    def __init__(self, index: str, work: Work, secret: bytes) -> None:
        super().__init__(index)
        self._work, self._secret = work, secret

    def placed(
        self, name: str, users: pa.ChunkedArray, columns: dict[str, Any]
    ) -> Iterator[_Placed]:
        """The columns and the users' hashes, by shard."""
        keys = keyed(users, self._secret)
        table = pa.table(columns | {"user": keys})
        for shard, part in by_shard(table, keys, self._work.shards):
            yield shard, (name, to_bytes(part, "lz4"))


class _Searches(_ByUser):
    def __init__(
        self, index: str, work: Work, secret: bytes, needs_query: bool
    ) -> None:
        super().__init__(index, work, secret)
        self._needs_query = needs_query

    def process(self, chunk: bytes) -> Iterator[_Placed]:
        table = _asked(to_table(chunk)) if self._needs_query else to_table(chunk)
        none = pa.nulls(table.num_rows, pa.string())
        given = dict(zip(table.column_names, table.columns, strict=True))
        texts = titles(given.get("query_text", none))
        image = of_values(given.get("query_image", none))
        columns = {
            "time": given["time"],
            "source": given["source"],
            "search": of_values(given.get("search", none)),
            "query": combined(of_values(pc.utf8_lower(texts)), image),
        }
        content = [of_values(texts)]
        if "clicked" in given:
            columns["clicked"] = clicked_rows(self.index, given["clicked"])
            content.append(of_lists(columns["clicked"]))
        if "results" in given:
            columns["results"], _ = rows_in_lists(self.index, given["results"])
            content.append(of_lists(columns["results"]))
        columns["content"] = combined(*content)
        columns |= {"query_text": texts} if "query_text" in given else {}
        columns |= {x: given[x] for x in ("query_image",) if x in given}
        yield from self.placed(_SEARCHES, given["user"], columns)


def _asked(table: pa.Table) -> pa.Table:
    """The searches with words or a picture; the others are counted."""
    asked = np.zeros(table.num_rows, bool)
    if "query_text" in table.column_names:
        texts = titles(table["query_text"])
        asked |= pc.not_equal(texts, "").to_numpy(zero_copy_only=False)
    if "query_image" in table.column_names:
        filled = pc.greater(pc.binary_length(table["query_image"]), 0)
        asked |= pc.fill_null(filled, False).to_numpy()
    count("searches:dropped:no_query", int((~asked).sum()))
    return table.filter(pa.array(asked))


class _Purchases(_ByUser):
    def __init__(self, index: str, work: Work, secret: bytes, schema: Schema) -> None:
        super().__init__(index, work, secret)
        assert schema.events is not None
        self._type, self._column = schema.pairs.purchase_type, schema.events.item
        self._files = files_of(schema, "events")

    def process(self, chunk: bytes) -> Iterator[_Placed]:
        whole = to_table(chunk)
        table = whole.filter(pc.equal(whole["type"], self._type))
        count("events:dropped:other_type", whole.num_rows - table.num_rows)
        count("purchases:read", table.num_rows)
        rows = self.index.rows_of(table["item"]).astype(np.int64)
        known = rows != UNKNOWN_ROW
        letters = [
            letter_of(source, self._files, self._column, "not_in_index")
            for source in ints(table, "source")[~known].tolist()
        ]
        count("purchases:dropped:not_in_index", len(letters))
        key = f"events-purchases-{whole['source'][0].as_py():016d}"
        self._work.letters(key, letters, "events")
        table = table.filter(pa.array(known))
        columns = {
            "time": table["time"],
            "item": rows[known],
            "source": table["source"],
        }
        yield from self.placed(_PURCHASES, table["user"], columns)


class _Join(beam.DoFn):
    """(shard, searches and purchases) -> pairs."""

    def __init__(self, schema: Schema, work: Work) -> None:
        self._rule, self._split, self._work = schema.pairs, schema.split, work
        self._facts: ItemFacts | None = None

    def process(
        self, group: tuple[int, Iterable[tuple[str, bytes]]], facts: bytes | None = None
    ) -> Iterator[bytes]:
        if facts is not None and self._facts is None:
            self._facts = ItemFacts(facts)
        groups = self._facts.groups if self._facts else own_groups
        number, chunks = group
        found: dict[str, list[bytes]] = {_SEARCHES: [], _PURCHASES: []}
        for name, chunk in chunks:
            found[name].append(chunk)
        searches, purchases = joined(found[_SEARCHES]), joined(found[_PURCHASES])
        if searches is None:
            lost = 0 if purchases is None else purchases.num_rows
            count("purchases:dropped:no_search", lost)
            return
        if isinstance(self._split, PerUserLastFraction):
            self._write_end(number, searches)
        if purchases is None:
            columns = ("user", "time", "item", "source")
            purchases = pa.schema([(x, pa.int64()) for x in columns]).empty_table()
        done = join(searches, purchases, self._rule, groups)
        _count_dropped(searches, done)
        pairs = purchase_pairs.pairs_of(searches, purchases, done, self._split, groups)
        if pairs.num_rows:
            yield to_bytes(pairs)

    def _write_end(self, number: int, searches: pa.Table) -> None:
        """Writes the first moment after any user's training, for `first_test_of`."""
        user, time = ints(searches, "user"), ints(searches, "time")
        ends = purchase_pairs.training_ends(user, time, user, self._split)
        key = f"join-{number:05d}"
        with self._work.unit(key) as unit:
            first = int(ends.min(initial=purchase_pairs.NEVER))
            unit.write(f"{key}{_ENDS}", [str(first).encode()], PACKS)


def _count_dropped(searches: pa.Table, done: Joined) -> None:
    """Counts purchases that are no pairs, and searches without any pair."""
    for code, reason in enumerate(REASONS):
        count(f"purchases:dropped:{reason}", int((done.dropped == code).sum()))
    reasons = np.full(searches.num_rows, "no_purchase", object)
    attributed = done.search >= 0
    named = np.array(REASONS, object)[done.dropped[attributed]]
    reasons[done.search[attributed]] = named
    left = np.ones(searches.num_rows, bool)
    left[done.search[attributed & (done.dropped < 0)]] = False
    count_left_out(searches.filter(pa.array(left)), reasons[left])
