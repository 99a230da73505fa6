"""A job's work folder: units of work that are finished whole or not at all.

A unit's files are written under names that no other attempt has, and get their own
names when the unit ends; the last one is its record of counts and checksums. What a
killed job finished is found by the next one with the same inputs and arguments.

    NAME.work-FINGERPRINT/parts/    files that are being written
                          out/      files on their way to the output
                          packs/    files that later units read
                          letters/  KEY.jsonl, dead letters
                          units/    KEY.json, the records
                          progress/ what every process has done so far
"""

import dataclasses
import functools
import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from beam_jobs import files
from beam_jobs.counters import collected, count
from tfmm.errors import TfmmError
from tfmm.tables import DeadLetter

PARTS, OUT, PACKS, LETTERS, UNITS = "parts", "out", "packs", "letters", "units"
PROGRESS, SHARDS = "progress", "shards"
_SHARD = "shard-"
_TICK_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Work:
    """The part of a job's output that travels to the workers.

    Args:
        folder: The work folder.
        shards: Number of hash shards.
        done: Keys of the units that an earlier run of the same job finished.
        run: Name of this run, which keeps its progress apart.
    """

    folder: str
    shards: int
    done: frozenset[str] = frozenset()
    run: str = ""

    @contextmanager
    def unit(self, key: str) -> Iterator["Unit"]:
        """One unit of work: its files, letters and counters, or none of them.

        Whatever is counted in the block stands in the unit's record.

        Args:
            key: Its name, the same in every attempt.

        Raises:
            TfmmError: If the disk is full.
        """
        unit = Unit(self, key)
        try:
            with collected() as counts:
                yield unit
                unit._finish(counts)
        except BaseException:
            unit._discard()
            raise

    def is_done(self, key: str) -> bool:
        """Whether an earlier run finished this unit."""
        return key in self.done

    def left(self) -> list[int]:
        """Numbers of the shards that no earlier run finished."""
        return [n for n in range(self.shards) if not self.is_done(shard_key(n))]

    def path(self, *names: str) -> str:
        """A path below the work folder."""
        return files.join(self.folder, *names)

    def letters(self, key: str, letters: Sequence[DeadLetter], table: str) -> None:
        """Writes dead letters; counts their rows as bad records of their table."""
        if letters:
            self.write_whole(f"{LETTERS}/{key}.jsonl", _lines(letters))
        count(f"{table}:bad", len({(each.file, each.row) for each in letters}))

    def tick(self, what: str, amount: int) -> None:
        """Adds to the progress that the launcher shows; local work folders only."""
        if amount and files.is_local(self.folder):
            _tally(self.path(PROGRESS, self.run)).add(what, amount)

    def progress(self) -> dict[str, int]:
        """What all processes of this run have done so far, by its name."""
        total: dict[str, int] = {}
        for path in Path(self.path(PROGRESS, self.run)).glob("*.json"):
            for what, amount in json.loads(path.read_bytes()).items():
                total[what] = total.get(what, 0) + amount
        return total

    def write_whole(self, name: str, chunks: Iterable[bytes]) -> None:
        """Writes a file of the work folder, whole or not at all."""
        aside = self.path(PARTS, uuid.uuid4().hex)
        try:
            files.write(aside, chunks)
            files.move({aside: self.path(name)})
        except BaseException:
            files.remove([aside])
            raise


class Unit:
    """One unit of work under way; `Work.unit` makes it.

    Attributes:
        facts: Path below the work folder -> bytes and sha256 of what was written.
    """

    def __init__(self, work: Work, key: str) -> None:
        self._work, self._key = work, key
        self._attempt = uuid.uuid4().hex
        self.facts: dict[str, dict[str, Any]] = {}
        self._asides: dict[str, str] = {}
        self._letters: list[DeadLetter] = []

    def write(self, name: str, chunks: Iterable[bytes], folder: str = OUT) -> None:
        """Writes a file of the unit.

        Args:
            name: Its name in the output, such as `train/timelines-00000-of-00008`.
            chunks: Its content.
            folder: `OUT`, or `PACKS` for a file that later units read.

        Raises:
            TfmmError: If the disk is full or may not be written.
        """
        digest, size = hashlib.sha256(), 0

        def watched() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        name = f"{folder}/{name}"
        aside = self._work.path(PARTS, f"{self._attempt}-{len(self._asides)}")
        self._asides[name] = aside
        files.write(aside, watched())
        self.facts[name] = {"bytes": size, "sha256": digest.hexdigest()}

    def letter(self, letter: DeadLetter, table: str) -> None:
        """Leaves a record out, with a reason."""
        self._letters.append(letter)
        count(f"{table}:bad")

    def _finish(self, counts: dict[str, int]) -> None:
        if self._letters:
            self.write(f"{self._key}.jsonl", _lines(self._letters), LETTERS)
        files.move({x: self._work.path(name) for name, x in self._asides.items()})
        record = {"key": self._key, "files": self.facts, "counts": counts}
        text = json.dumps(record).encode()
        self._work.write_whole(f"{UNITS}/{self._key}.json", [text])
        if self._key.startswith(_SHARD):
            self._work.tick(SHARDS, 1)

    def _discard(self) -> None:
        files.remove([*self._asides.values()])


def shard_key(number: int) -> str:
    """The key of the unit that writes a shard."""
    return f"{_SHARD}{number:05d}"


def file_name(stem: str, number: int, shards: int, suffix: str = "tfrecord") -> str:
    """The name of a shard's file.

    Example:
        >>> file_name("items", 3, 8)
        'items-00003-of-00008.tfrecord'
    """
    return f"{stem}-{number:05d}-of-{shards:05d}.{suffix}"


def whole_units(folder: str) -> dict[str, dict[str, Any]]:
    """The records of a work folder's units whose files are all there, by key."""
    place = files.join(folder, UNITS)
    paths = [files.join(place, name) for name in files.names(place, ".json")]
    records = list(map(json.loads, files.each(files.read, paths)))
    sizes = {
        files.join(folder, name): fact["bytes"]
        for record in records
        for name, fact in record["files"].items()
    }
    found = dict(zip(sizes, files.each(files.facts, sizes), strict=True))
    wrong = {path for path, fact in found.items() if not fact or fact[0] != sizes[path]}
    return {
        record["key"]: record
        for record in records
        if wrong.isdisjoint(files.join(folder, name) for name in record["files"])
    }


class _Tally:
    """What this process has done, now and then written where the launcher looks."""

    def __init__(self, folder: str) -> None:
        self._path = files.join(folder, f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json")
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._written = 0.0

    def add(self, what: str, amount: int) -> None:
        with self._lock:
            self._done[what] = self._done.get(what, 0) + amount
            if time.monotonic() - self._written > _TICK_SECONDS:
                # A disk that is too full for it will stop the work itself.
                with suppress(OSError, TfmmError):
                    aside = f"{self._path}.part"
                    files.write(aside, [json.dumps(self._done).encode()])
                    files.move({aside: self._path})
                self._written = time.monotonic()


_tally = functools.cache(_Tally)


def _lines(letters: Sequence[DeadLetter]) -> list[bytes]:
    rows = sorted(map(dataclasses.astuple, letters))
    lines = [json.dumps(dataclasses.asdict(DeadLetter(*row))) for row in rows]
    return [f"{line}\n".encode() for line in lines]
