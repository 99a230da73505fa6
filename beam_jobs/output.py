"""A job's output: claimed, written aside, put in place at once, manifest last.

On a local disk the finished work takes the output's place by one rename, and a lock
keeps a second job away. Object stores know neither: there every file is moved, the
manifest last, and the commit notices whether another job claimed the place meanwhile.
"""

import fcntl
import glob
import heapq
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from beam_jobs import files
from beam_jobs.work import LETTERS, OUT, Work, read_units, shard_key
from tfmm.errors import TfmmError
from tfmm.records import manifest

DEAD = "dead_letters.jsonl"
# Part -> kind, counts and facts of its manifest; "" is the output itself.
Manifests = Mapping[str, Mapping[str, Any]]


class Output:
    """An output folder under way; `writing` opens it.

    Args:
        folder: Where it will stand.
        work: Its work folder.
    """

    def __init__(self, folder: str, work: Work, run: str) -> None:
        self.folder, self.work, self._run = folder, work, run

    def commit(self, manifests: Manifests) -> None:
        """Puts all finished files in place, with their manifests.

        Args:
            manifests: Per part, with `""` for the whole.

        Raises:
            TfmmError: If another job claimed the folder, or a shard is missing.
        """
        self._check_whole()
        units = read_units(self.work.folder).values()
        made = {
            name.removeprefix(f"{OUT}/"): fact
            for unit in units
            for name, fact in unit["files"].items()
            if name.startswith(f"{OUT}/")
        }
        made |= self._merge_letters()
        texts = {
            f"{part}/{manifest.NAME}".lstrip("/"): manifest.manifest_text(
                files=_below(made, part), **facts
            )
            for part, facts in sorted(manifests.items(), reverse=True)
        }
        if files.is_local(self.folder):
            self._put_in_place(texts)
        else:
            self._move_files(made, texts)
        files.remove_folder(self.work.folder)

    def commit_saved(self, saved: Path) -> None:
        """Puts a folder with a manifest in place, and the dead letters with it."""
        found = json.loads((saved / manifest.NAME).read_bytes())
        letters = self._merge_letters()
        for name in letters:
            (saved / name).write_bytes(files.read(self.work.path(OUT, name)))
        found["files"] |= letters
        text = manifest.manifest_text(**{k: found[k] for k in found if k != "format"})
        (saved / manifest.NAME).write_text(text, encoding="utf-8")
        if files.is_local(self.folder):
            manifest.put_in_place(saved, Path(self.folder))
        else:
            for name in found["files"]:
                files.write(self.work.path(OUT, name), [(saved / name).read_bytes()])
            self._move_files(found["files"], {manifest.NAME: text})
        files.remove_folder(self.work.folder)

    def _check_whole(self) -> None:
        units = read_units(self.work.folder)
        keys = map(shard_key, range(self.work.shards))
        missing = [key for key in keys if key not in units]
        if missing:
            raise TfmmError(
                f"`{self.folder}` cannot be finished. Expected: {self.work.shards} "
                f"shards. Received: none of {', '.join(missing[:5])}. Run the job "
                "again: finished shards are kept."
            )

    def _merge_letters(self) -> dict[str, dict[str, Any]]:
        """All dead letters as one file, in the order of file and row."""
        folder = self.work.path(LETTERS)
        paths = [files.join(folder, name) for name in files.names(folder, ".jsonl")]
        if not paths:
            return {}
        with ExitStack() as stack:
            sources = [stack.enter_context(_lines(path)) for path in paths]
            merged = heapq.merge(*sources, key=lambda x: tuple(json.loads(x).values()))
            with self.work.unit("letters") as unit:
                unit.write(DEAD, merged)
        name = f"{OUT}/{DEAD}"
        return {DEAD: read_units(self.work.folder)["letters"]["files"][name]}

    def _put_in_place(self, texts: Mapping[str, str]) -> None:
        done = Path(self.work.path(OUT))
        for name, text in texts.items():
            (done / name).parent.mkdir(parents=True, exist_ok=True)
            (done / name).write_text(text, encoding="utf-8")
        manifest.put_in_place(done, Path(self.folder))

    def _move_files(self, made: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """The commit where no folder can be renamed; doing it again ends it."""
        self._check_claim()
        stale = _stale(self.folder, {*made, *texts})
        # Without its manifest, what stands there is no output any more.
        files.remove([files.join(self.folder, manifest.NAME)])
        files.remove([files.join(self.folder, name) for name in stale])
        for name in made:
            files.move(self.work.path(OUT, name), files.join(self.folder, name))
        self._check_claim()
        for name, text in texts.items():
            files.write(files.join(self.folder, name), [text.encode()])
        files.remove([f"{self.folder}.claim"])

    def _check_claim(self) -> None:
        path = f"{self.folder}.claim"
        if files.facts(path) is None or files.read(path).decode() != self._run:
            raise TfmmError(
                f"Another job began to write `{self.folder}` after this one, so that "
                "this one's files were not put in place. Run one job at a time for a "
                f"folder; this one's work is in `{self.work.folder}`."
            )


@contextmanager
def writing(folder: str, digest: str, shards: int) -> Iterator[Output]:
    """Claims an output and its work folder; what is finished stays on failure.

    Args:
        folder: Where the output shall stand.
        digest: Names the job, its inputs and arguments: only the same go on with
            what a killed run finished.
        shards: Number of hash shards.

    Raises:
        TfmmError: If another job of this machine writes the folder, or the folder
            holds what is no output.
    """
    run = uuid.uuid4().hex
    place = f"{folder}.work-{digest}"
    with ExitStack() as stack:
        if files.is_local(folder):
            manifest.check_replaceable(Path(folder))
            stack.enter_context(_locked(folder))
            manifest.remove_leftovers(Path(folder))
            _remove_other_work(folder, place)
        else:
            files.write(f"{folder}.claim", [run.encode()])
        work = Work(place, shards, frozenset(_whole_units(place)))
        yield Output(folder, work, run)


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Holds the folder's lock; a killed process holds none."""
    path = f"{folder}.lock"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    file = _lock(path)
    if file is None:
        raise TfmmError(
            f"Another job is writing `{folder}`. Expected: one job at a time. "
            "Received: a second one. Wait for it, or choose another folder."
        )
    try:
        yield
    finally:
        os.unlink(path)
        file.close()


def _lock(path: str) -> IO[bytes] | None:
    while True:
        file = open(path, "ab")  # noqa: SIM115  (open as long as it is locked)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        # Another process may have removed the file between opening and locking.
        if os.path.exists(path) and os.path.samestat(
            os.stat(path), os.fstat(file.fileno())
        ):
            return file
        file.close()


def _whole_units(place: str) -> Iterator[str]:
    """Keys of the finished units whose files are all there."""
    for key, unit in read_units(place).items():
        found = {name: files.facts(files.join(place, name)) for name in unit["files"]}
        if all(
            fact and fact[0] == unit["files"][x]["bytes"] for x, fact in found.items()
        ):
            yield key


def _remove_other_work(folder: str, kept: str) -> None:
    """Removes what runs with other inputs or arguments left; we have the lock."""
    place = Path(folder)
    for path in place.parent.glob(f"{glob.escape(place.name)}.work-*"):
        if str(path) != kept:
            files.remove_folder(str(path))


def _stale(folder: str, kept: set[str]) -> list[str]:
    """Files of an earlier output that the new one does not have."""
    path = files.join(folder, manifest.NAME)
    if files.facts(path) is None:
        return []
    return [name for name in json.loads(files.read(path))["files"] if name not in kept]


def _below(made: Mapping[str, Any], part: str) -> dict[str, Any]:
    prefix = f"{part}/" if part else ""
    return {
        name.removeprefix(prefix): made[name]
        for name in sorted(made)
        if name.startswith(prefix)
    }


@contextmanager
def _lines(path: str) -> Iterator[Iterator[bytes]]:
    if files.is_local(path):
        with open(path, "rb") as file:
            yield iter(file)
    else:
        yield iter(files.read(path).splitlines(keepends=True))
