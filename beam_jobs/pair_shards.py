"""A shard of pairs: what travels to it, and its file of every part."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.chunks import by_shard, to_bytes, to_table
from beam_jobs.kernels import hashes
from beam_jobs.kernels import pairs as kernel
from beam_jobs.kernels.columns import ints
from beam_jobs.packs import read_sections
from beam_jobs.split_check import PARTS, TEST, TRAIN
from beam_jobs.work import Work, file_name, shard_key
from tfmm.records.leak import moment, refuse_tested
from tfmm.records.sources import ITEM

# What travels to a shard: pairs, the place of pairs in a pack, or nothing.
PAIRS, PLACE, NOTHING = "pairs", "place", ""


class WriteShard(beam.DoFn):
    """(shard, [(`PAIRS` or `PLACE`, data)]) -> the shard's file of every part.

    Args:
        work: The job's work.
        first_test: Training pairs of this moment or later stop the job; a moment that
            never comes where every user has their own.
    """

    def __init__(self, work: Work, first_test: int) -> None:
        self._work, self._first_test = work, first_test

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
            table = pa.concat_tables([_NO_PAIRS, *tables])
            for part in PARTS:
                pairs = table.filter(pc.equal(table["part"], part))
                if part == TRAIN:
                    self._audit(pairs)
                unit.write(f"{part}/{name}", kernel.framed_records(pairs))
        yield None

    def _audit(self, pairs: pa.Table) -> None:
        """Refuses training pairs of the test's time, whatever let them pass."""
        times = ints(pairs, "time")[ints(pairs, "source") != ITEM]
        late = times >= self._first_test
        if late.any():
            expected = f"pairs before {moment(self._first_test)}"
            refuse_tested([(times, late)], expected, "A shard of `train`")


def placed(pairs: pa.Table, work: Work) -> Iterator[tuple[int, bytes]]:
    """Pairs by their shard; those of one search go to one."""
    search, origin = ints(pairs, "search"), ints(pairs, "origin")
    keys = np.where(search != hashes.NOTHING, search, origin)
    for shard, group in by_shard(pairs, keys, work.shards):
        yield shard, to_bytes(group)


def with_part(pairs: pa.Table, searches: pa.Table, places: np.ndarray) -> pa.Table:
    """The pairs with the part of their search."""
    test = searches["test"].take(pa.array(places))
    return pairs.append_column("part", pc.if_else(test, TEST, TRAIN))


_NO_PAIRS = pa.schema([*kernel.SCHEMA, ("part", pa.string())]).empty_table()
