"""A job's work folder: units of work that are finished whole or not at all.

A unit's files are written under names that no other attempt has, and get their own
names when the unit ends; the last one is its record of counts and checksums. What a
killed job finished is found by the next one with the same inputs and arguments.

    NAME.work-FINGERPRINT/out/      files on their way to the output
                          packs/    files that later units read
                          units/    KEY.json, the records
                          letters/  KEY.jsonl, dead letters
                          progress/ what every process has done so far
"""

import dataclasses
import errno
import functools
import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from beam_jobs import files
from beam_jobs.counters import collected, count
from tfmm.errors import TfmmError
from tfmm.tables import DeadLetter

OUT, PACKS, UNITS, LETTERS, PROGRESS = "out", "packs", "units", "letters", "progress"
_TICK_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Work:
    """The part of a job's output that travels to the workers.

    Args:
        folder: The work folder.
        shards: Number of hash shards.
        done: Keys of the units that an earlier run of the same job finished.
    """

    folder: str
    shards: int
    done: frozenset[str] = frozenset()

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
            with _taught(self.folder), collected() as counts:
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
        with _taught(self.folder):
            _write_letters(self.path(LETTERS, f"{key}.jsonl"), letters)
        count(f"{table}:bad", len({(each.file, each.row) for each in letters}))

    def tick(self, what: str, amount: int) -> None:
        """Adds to the progress that the launcher shows; local work folders only."""
        if amount and files.is_local(self.folder):
            _tally(self.folder).add(what, amount)


class Unit:
    """One unit of work under way; `Work.unit` makes it."""

    def __init__(self, work: Work, key: str) -> None:
        self._work, self._key = work, key
        self._attempt = uuid.uuid4().hex[:12]
        self._files: dict[str, dict[str, Any]] = {}
        self._letters: list[DeadLetter] = []

    def write(self, name: str, chunks: Iterable[bytes], folder: str = OUT) -> None:
        """Writes a file of the unit.

        Args:
            name: Its name in the output, such as `train/timelines-00000-of-00008`.
            chunks: Its content.
            folder: `OUT`, or `PACKS` for a file that later units read.
        """
        digest, size = hashlib.sha256(), 0

        def watched() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        name = f"{folder}/{name}"
        self._files[name] = {}
        files.write(self._aside(name), watched())
        self._files[name] = {"bytes": size, "sha256": digest.hexdigest()}

    def letter(self, letter: DeadLetter, table: str) -> None:
        """Leaves a record out, with a reason."""
        self._letters.append(letter)
        count(f"{table}:bad")

    def _finish(self, counts: dict[str, int]) -> None:
        if self._letters:
            _write_letters(
                self._work.path(LETTERS, f"{self._key}.jsonl"), self._letters
            )
        for name in self._files:
            files.move(self._aside(name), self._work.path(name))
        record = {"key": self._key, "files": self._files, "counts": counts}
        _write_whole(
            self._work.path(UNITS, f"{self._key}.json"), json.dumps(record).encode()
        )
        self._work.tick("units", 1)

    def _aside(self, name: str) -> str:
        return self._work.path(f"{name}.{self._attempt}.part")

    def _discard(self) -> None:
        files.remove([self._aside(name) for name in self._files])


def shard_key(number: int) -> str:
    """The key of the unit that writes a shard."""
    return f"shard-{number:05d}"


def file_name(stem: str, number: int, shards: int, suffix: str = "tfrecord") -> str:
    """The name of a shard's file.

    Example:
        >>> file_name("items", 3, 8)
        'items-00003-of-00008.tfrecord'
    """
    return f"{stem}-{number:05d}-of-{shards:05d}.{suffix}"


def read_units(folder: str) -> dict[str, dict[str, Any]]:
    """The records of all finished units of a work folder, by key."""
    place = files.join(folder, UNITS)
    found = [
        json.loads(files.read(files.join(place, name)))
        for name in files.names(place, ".json")
    ]
    return {record["key"]: record for record in found}


def read_progress(folder: str) -> dict[str, int]:
    """What all processes of this machine have done so far, by its name."""
    total: dict[str, int] = {}
    for path in Path(folder, PROGRESS).glob("*.json"):
        for what, amount in json.loads(path.read_bytes()).items():
            total[what] = total.get(what, 0) + amount
    return total


class _Tally:
    """What this process has done, now and then written where the launcher looks."""

    def __init__(self, folder: str) -> None:
        name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self._path = files.join(folder, PROGRESS, name)
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._written = 0.0

    def add(self, what: str, amount: int) -> None:
        with self._lock:
            self._done[what] = self._done.get(what, 0) + amount
            if time.monotonic() - self._written > _TICK_SECONDS:
                _write_whole(self._path, json.dumps(self._done).encode())
                self._written = time.monotonic()


_tally = functools.cache(_Tally)


def _write_letters(path: str, letters: Sequence[DeadLetter]) -> None:
    if letters:
        rows = sorted(map(dataclasses.astuple, letters))
        lines = [json.dumps(dataclasses.asdict(DeadLetter(*row))) for row in rows]
        _write_whole(path, "".join(line + "\n" for line in lines).encode())


def _write_whole(path: str, data: bytes) -> None:
    aside = f"{path}.{uuid.uuid4().hex[:12]}.part"
    files.write(aside, [data])
    files.move(aside, path)


@contextmanager
def _taught(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise TfmmError(
            f"The disk of `{folder}` is full. Make room and run the same command "
            "again: what is finished is kept and not made again."
        ) from error
