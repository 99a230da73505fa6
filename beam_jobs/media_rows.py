"""What the jobs that read pictures share: batches, known rows, pictures, packs."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)

from beam_jobs.chunks import batches, to_bytes, to_table
from beam_jobs.counters import count
from beam_jobs.job import DEFAULT_RUNNER
from beam_jobs.kernels.ahead import ahead
from beam_jobs.kernels.fetch import Limits, fetch
from beam_jobs.kernels.pictures import Picture, picture
from beam_jobs.packs import places, write_pack
from beam_jobs.plan import MIB, ROWS_PER_SHARD
from beam_jobs.read_table import ROWS_READ, files_of, letter_of
from beam_jobs.with_index import WithIndex
from beam_jobs.work import Work, shard_key
from tfmm.records.index import UNKNOWN_ROW
from tfmm.schema import Schema
from tfmm.tables import DeadLetter

BATCH_ROWS = 512
_IN_FLIGHT = 64
_SHARD_BYTES = 256 * MIB
_OTHER_BYTES = 500
_ABSENT = Picture(reason="absent")


class WithMedia(WithIndex):
    """A DoFn from batches of a table with pictures to places in packs.

    Args:
        schema: The schema.
        name: `items` or `searches`.
        index: Folder of the item index.
        work: Where packs and dead letters go.
        threads: Pictures decoded at a time.

    Attributes:
        ticks: Whether its rows are progress, and not those that were read.
    """

    ticks = True

    def __init__(
        self, schema: Schema, name: str, index: str | Path, work: Work, threads: int
    ) -> None:
        super().__init__(index)
        self._work, self._threads = work, threads
        self._letters: list[DeadLetter] = []
        table = getattr(schema, name)
        self._table, self._name, self._media = table, name, schema.media
        root = table.image_root or "."
        self._root = root if "://" in root else str(schema.folder / root)
        self._limits = Limits(schema.media.max_bytes)
        self._files = files_of(schema, name)

    def setup(self) -> None:
        """Opens the index."""
        super().setup()
        self._decoding = threading.BoundedSemaphore(self._threads)

    def process(self, batch: bytes, *side: Any) -> Iterator[tuple[int, bytes]]:
        """Packs one batch, unless an earlier run did; says where its shards are."""
        table = to_table(batch)
        key = f"{self._name}-media-{table['source'][0].as_py():016d}"
        if not self._work.is_done(key):
            self._letters = []
            with self._work.unit(key) as unit:
                write_pack(unit, key, self.sections(table, *side))
                self._work.letters(key, self._letters, self._name)
        if self.ticks:
            self._work.tick(ROWS_READ, table.num_rows)
        for shard, place in places(self._work, key):
            if not self._work.is_done(shard_key(shard)):
                yield shard, place

    def sections(self, table: pa.Table, *side: Any) -> Mapping[int, bytes]:
        """What a batch has for every shard."""
        raise NotImplementedError

    def known(self, table: pa.Table, role: str) -> pa.Table:
        """The rows whose item the index knows; the others become dead letters."""
        known = pa.array(self.index.rows_of(table[role]) != UNKNOWN_ROW)
        unknown = table["source"].filter(pc.invert(known)).to_pylist()
        if not unknown:
            return table
        count(f"{self._name}:dropped:not_in_index", len(unknown))
        column = self._table.columns()[role][0]
        for source in unknown:
            self.leave_out(source, column, "not_in_index")
        return table.filter(known)

    def pictures(self, values: Sequence[bytes | str | None]) -> list[Picture]:
        """The pictures behind values, ready for records, or why there are none."""
        given = [value for value in values if value]
        by_path = any(isinstance(value, str) for value in given)
        at_a_time = self._limits.at_a_time if by_path else self._threads
        made = ahead(self._picture, given, at_a_time, _IN_FLIGHT)
        return [next(made) if value else _ABSENT for value in values]

    def _picture(self, value: bytes | str) -> Picture:
        data, reason = fetch(value, self._root, self._limits)
        if reason:
            return Picture(reason=reason)
        rule = self._media
        with self._decoding:
            return picture(data, rule.image_size, rule.max_pixels, rule.quality)

    def leave_out(self, source: int, column: str, reason: str) -> None:
        """Makes a dead letter; it is written with the pack."""
        self._letters.append(letter_of(source, self._files, column, reason))


class PackMedia(beam.PTransform):
    """Chunks of a table -> (shard, place of what the chunk has for it).

    Pictures that stand in the table are decoded where they are read. Paths are few
    bytes and much work: they are spread over all workers in small batches.

    Args:
        packing: Makes the packs.
        *side: Side inputs of it.
    """

    def __init__(self, packing: WithMedia, *side: Any) -> None:
        super().__init__()
        self._packing, self._side = packing, side

    def expand(self, chunks: Any) -> Any:
        """Cuts, spreads and packs."""
        batches = chunks | "Batches" >> beam.ParDo(_Batches()).with_outputs(
            _Batches.SPREAD, main="here"
        )
        packed = beam.ParDo(self._packing, *self._side)
        packed = packed.with_output_types(tuple[int, bytes])
        spread = (
            batches[_Batches.SPREAD]
            | "Spread batches" >> beam.Reshuffle()
            | "Pack what paths lead to" >> packed
        )
        return (batches.here | "Pack" >> packed, spread) | "Packed" >> beam.Flatten()


class _Batches(beam.DoFn):
    SPREAD = "spread"

    def process(self, chunk: bytes) -> Iterator[Any]:
        table = to_table(chunk)
        if not any(map(_holds_paths, table.schema)):
            yield chunk
            return
        for batch in batches(table, BATCH_ROWS):
            spread = to_bytes(batch, "lz4")
            yield beam.pvalue.TaggedOutput(self.SPREAD, spread)


def _holds_paths(field: pa.Field) -> bool:
    """Whether a role's column holds pictures by path."""
    kind = field.type
    is_picture = field.name in ("image", "query_image")
    if field.name.startswith("more_images_"):
        is_picture, kind = True, kind.value_type
    return is_picture and pa.types.is_string(kind)


def rows_per_shard(pictures: int, image_size: int) -> int:
    """Rows of a shard that a worker can hold, by what JPEGs mostly take.

    Example:
        >>> rows_per_shard(pictures=1, image_size=224)
        15584
    """
    row_bytes = _OTHER_BYTES + pictures * image_size**2 // 3
    return min(ROWS_PER_SHARD, _SHARD_BYTES // row_bytes)


def decoding_threads(options: PipelineOptions) -> int:
    """Pictures to decode at a time: on one machine in one process, on every core.

    Other runners have a process for each core.
    """
    runner = options.view_as(StandardOptions).runner
    mode = options.view_as(DirectOptions).direct_running_mode
    here = runner == DEFAULT_RUNNER and mode == "in_memory"
    return _cores() if here else 1


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
