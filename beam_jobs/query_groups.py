"""Pairs grouped by their query text: its cap, and test pairs seen in training."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.chunks import batches, by_shard, joined, to_bytes, to_table
from beam_jobs.counters import count
from beam_jobs.kernels.columns import ints
from beam_jobs.kernels.hashes import NOTHING, of_values
from beam_jobs.kernels.query_caps import REASONS, cap
from beam_jobs.kernels.titles import titles
from beam_jobs.media_rows import BATCH_ROWS
from beam_jobs.pair_counts import count_left_out
from beam_jobs.work import Work
from tfmm.schema import Schema


class CapQueries(beam.PTransform):
    """Chunks for `PairsOfSearches` -> what the schema's rule leaves of them.

    Args:
        schema: The schema.
        work: The job's work.
    """

    def __init__(self, schema: Schema, work: Work) -> None:
        super().__init__()
        self._schema, self._work = schema, work

    def expand(self, chunks: beam.PCollection) -> Any:
        """Groups the pairs of a query text, and those of a search without one."""
        return (
            chunks
            | "Hash queries" >> beam.ParDo(_ByQuery(self._work))
            | "By query" >> beam.GroupByKey()
            | "Cap queries" >> beam.ParDo(_Cap(self._schema))
        )


class _ByQuery(beam.DoFn):
    def __init__(self, work: Work) -> None:
        self._work = work

    def process(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        pairs = to_table(chunk)
        text = np.full(pairs.num_rows, NOTHING)
        if "query_text" in pairs.column_names:
            text = of_values(pc.utf8_lower(titles(pairs["query_text"])))
        pairs = pairs.append_column("text", pa.array(text))
        # All rows of a search are of one text, and without it of one source.
        keys = np.where(text == NOTHING, ints(pairs, "source"), text)
        for shard, part in by_shard(pairs, keys, self._work.shards):
            yield shard, to_bytes(part, "lz4")


class _Cap(beam.DoFn):
    def __init__(self, schema: Schema) -> None:
        assert schema.searches is not None
        self._rule, self._joins = schema.pairs, schema.joins

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[bytes]:
        pairs = joined(group[1])
        assert pairs is not None
        order = np.lexsort((ints(pairs, "origin"), ints(pairs, "source")))
        pairs = pairs.take(pa.array(order))
        done = cap(pairs, self._rule)
        count("pairs:seen_in_train", int(done.seen.sum()))
        self._count_dropped(pairs, done.dropped)
        kept = pairs.filter(pa.array(done.dropped < 0)).drop_columns("text")
        yield from map(to_bytes, batches(kept, BATCH_ROWS))

    def _count_dropped(self, pairs: pa.Table, dropped: np.ndarray) -> None:
        source = ints(pairs, "source")
        left = ~np.isin(source, source[dropped < 0])
        reasons = np.array(REASONS, object)[dropped]
        count_left_out(pairs.filter(pa.array(left)), reasons[left])
        if self._joins:
            for code, reason in enumerate(REASONS):
                count(f"purchases:dropped:{reason}", int((dropped == code).sum()))
