"""One shard of the log -> its timelines, whole or added to those of an earlier run."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa

from beam_jobs import chunks, files, log_shards
from beam_jobs.counters import count
from beam_jobs.kernels import histories, negatives, timeline_records, timelines
from beam_jobs.kernels.carried import (
    Carried,
    carried,
    from_tables,
    read_again,
    to_tables,
)
from beam_jobs.kernels.merging import changed_users, merged
from beam_jobs.kernels.splice import Places, record_ends, splice
from beam_jobs.stretch import Stretch
from beam_jobs.work import Unit, Work, file_name, shard_key
from tfmm.records.example_batch import framed_examples
from tfmm.records.example_columns import columns_of
from tfmm.records.ragged import Ragged
from tfmm.records.spec import RequestSpec
from tfmm.records.split import SPLITS
from tfmm.records.timeline import columns
from tfmm.schema import Schema

CARRIED = "carried"
# Impressions of earlier runs and of this one in the records that are made anew.
REWRITTEN = "rewritten"
_IMPRESSIONS, _EVENTS = "impressions", "events"


@dataclass(frozen=True)
class Previous:
    """Timelines of an earlier run that this one adds to.

    Args:
        folder: Where they are.
        horizon: The earliest moment that can be read again, microseconds.
        moved: Parts whose requests may now be in another one.
    """

    folder: str
    horizon: int
    moved: tuple[str, ...] = ()


class WriteShard(beam.DoFn):
    """(shard, chunks) -> the shard's timelines.

    Args:
        schema: The schema.
        spec: Names the features of the records.
        work: The job's work.
        stretch: The days that are read.
        previous: What the days are added to; `None` for timelines of these alone.
    """

    def __init__(
        self,
        schema: Schema,
        spec: RequestSpec,
        work: Work,
        stretch: Stretch,
        previous: Previous | None = None,
    ) -> None:
        self._schema, self._spec, self._work = schema, spec, work
        self._stretch, self._previous = stretch, previous

    def process(self, group: tuple[int, Iterable[tuple[str, bytes]]]) -> Iterator[None]:
        """Writes one shard."""
        number, data = group
        with self._work.unit(shard_key(number)) as unit:
            logs = log_shards.together(data, self._schema)
            shard = _Shard(
                self._schema,
                self._spec,
                self._work,
                unit,
                number,
                carries=self._stretch.horizon is not None,
            )
            if self._previous is None:
                recent = shard.write(logs)
            else:
                recent = shard.add(logs, self._previous, self._stretch)
            if self._stretch.horizon is not None:
                shard.carry(recent, self._stretch.horizon)
        yield None


@dataclass(frozen=True)
class _Shard:
    """One shard that is being written."""

    schema: Schema
    spec: RequestSpec
    work: Work
    unit: Unit
    number: int
    carries: bool

    def write(self, logs: log_shards.Tables) -> Carried:
        """Writes the timelines of all users; returns their whole log."""
        found = log_shards.load(logs, self.schema, self.spec.event_types)
        count("events:dropped:repeated", found.events.repeated)
        for part, made in self._parts(found, "impressions"):
            self._write_part(
                part, framed_examples(made), np.asarray(made["user"].values)
            )
            _count_part(part, timeline_records.counts(made, self.spec))
        return Carried(logs.impressions, found.events)

    def add(
        self, logs: log_shards.Tables, previous: Previous, stretch: Stretch
    ) -> Carried:
        """Writes the earlier timelines with the days that were read.

        Returns:
            The log since the previous horizon.
        """
        known = from_tables(
            self._read(previous, _IMPRESSIONS), self._read(previous, _EVENTS)
        )
        events = timelines.events_of(
            logs.impressions, logs.events, self.schema, self.spec.event_types
        )
        assert stretch.since is not None and stretch.until is not None
        count("events:dropped:repeated", events.repeated)
        recent = read_again(
            known, logs.impressions, events, stretch.since, stretch.until
        )
        places = {part: _to_places(self._read(previous, part)) for part in SPLITS}
        changed = np.unique(
            np.concatenate(
                [
                    changed_users(known, recent),
                    *(places[part].users for part in previous.moved),
                ]
            )
        )
        records = [
            self._records(previous, part, places[part], changed) for part in SPLITS
        ]
        for part, given in zip(SPLITS, records, strict=True):
            _count_part(part, timeline_records.counts(given, self.spec), -1)
        found = merged(
            records,
            recent,
            logs.users,
            changed,
            self.schema,
            self.spec,
            previous.horizon,
        )
        shown = found.requests.impressions.num_rows + found.requests.cut
        count(f"{REWRITTEN}:read", shown)
        for part, made in self._parts(found, REWRITTEN):
            self._splice_part(previous, part, places[part], made, changed)
            _count_part(part, timeline_records.counts(made, self.spec))
        return recent

    def carry(self, recent: Carried, horizon: int) -> None:
        """Keeps what a later run needs."""
        kept = to_tables(
            carried(recent.impressions, recent.events, self.schema, horizon)
        )
        for name, table in zip((_IMPRESSIONS, _EVENTS), kept, strict=True):
            self.unit.write(self._carried(name), [chunks.to_bytes(table, "lz4")])

    def _parts(
        self, shard: timelines.LogShard, impressions: str
    ) -> Iterator[tuple[str, dict[str, Ragged]]]:
        """The features of every part's records.

        Args:
            shard: The log.
            impressions: What its impressions are counted as.
        """
        count(f"{impressions}:dropped:request_too_long", shard.requests.cut)
        shard = self._sampled(shard, impressions)
        lag = int(self.schema.history.lag_seconds * 1_000_000)
        spans = histories.cuts(shard.requests, shard.events, lag)
        starts, unused = histories.newest(
            shard.requests, shard.events, spans, self.spec.max_history
        )
        count("histories:read", len(shard.events.user))
        for reason, amount in unused.items():
            count(f"histories:dropped:{reason}", amount)
        for code, part in timelines.part_names():
            yield (
                part,
                timeline_records.features(shard, (starts, spans[1]), self.spec, code),
            )

    def _sampled(
        self, shard: timelines.LogShard, impressions: str
    ) -> timelines.LogShard:
        if not self.spec.weight:
            return shard
        shown = shard.requests.impressions.num_rows
        rate = self.schema.requests.negative_rate
        requests = negatives.sampled(shard.requests, self.spec.labels, rate)
        left_out = shown - requests.impressions.num_rows
        count(f"{impressions}:dropped:sampled_out", left_out)
        return dataclasses.replace(shard, requests=requests)

    def _write_part(self, part: str, data: Iterable[bytes], users: np.ndarray) -> None:
        ends = [np.zeros(0, np.int64)]

        def watched() -> Iterator[bytes]:
            size = 0
            for piece in data:
                ends.append(record_ends(piece) + size)
                size += len(piece)
                yield piece

        self.unit.write(self._name(part), watched())
        self._write_places(part, Places(users, np.concatenate(ends)))

    def _splice_part(
        self,
        previous: Previous,
        part: str,
        old: Places,
        made: dict[str, Ragged],
        changed: np.ndarray,
    ) -> None:
        data = b"".join(framed_examples(made))
        new = Places(np.asarray(made["user"].values), record_ends(data))
        plan = splice(old, new, changed)
        path = files.join(previous.folder, self._name(part))

        def pieces() -> Iterator[bytes]:
            with files.opened(path) as file:
                for source, start, size in plan.reads():
                    if source:
                        yield data[start : start + size]
                    else:
                        file.seek(start)
                        yield file.read(size)

        self.unit.write(self._name(part), chunks.gathered(pieces()))
        self._write_places(part, plan.places)

    def _records(
        self, previous: Previous, part: str, places: Places, changed: np.ndarray
    ) -> dict[str, Ragged]:
        """The features of the changed users' earlier records."""
        own = places.find(changed)
        starts, ends = places.starts[own], places.ends[own]
        pieces = []
        with files.opened(files.join(previous.folder, self._name(part))) as file:
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                file.seek(start)
                pieces.append(file.read(end - start))
        kinds = {column.name: column.type for column in columns(self.spec)}
        return columns_of(b"".join(pieces), kinds)

    def _write_places(self, part: str, places: Places) -> None:
        if not self.carries:
            return
        table = pa.table({"user": places.users, "end": places.ends})
        self.unit.write(self._carried(part), [chunks.to_bytes(table, "lz4")])

    def _read(self, previous: Previous, what: str) -> pa.Table:
        path = files.join(previous.folder, self._carried(what))
        return chunks.to_table(files.read(path))

    def _name(self, part: str) -> str:
        return f"{part}/{file_name('timelines', self.number, self.work.shards)}"

    def _carried(self, what: str) -> str:
        return f"{CARRIED}/{file_name(what, self.number, self.work.shards, 'arrow')}"


def _to_places(table: pa.Table) -> Places:
    return Places(table["user"].to_numpy(), table["end"].to_numpy())


def _count_part(part: str, counts: Mapping[str, int], sign: int = 1) -> None:
    for what, amount in counts.items():
        count(f"{part}:{what}", sign * amount)
