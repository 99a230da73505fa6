"""A job's claim on an output folder: a lock on local disks, a note on object stores."""

import glob
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from beam_jobs import files
from beam_jobs.disk import teaching
from beam_jobs.locks import lock
from beam_jobs.work import PARTS, PROGRESS
from tfmm.errors import TfmmError
from tfmm.records import manifest


@dataclass(frozen=True)
class Claim:
    """One run's claim on a folder; `claimed` makes it.

    Args:
        folder: The output folder.
        run: The run's name.
    """

    folder: str
    run: str

    def check(self, work: str) -> None:
        """Refuses to go on where another job claimed a remote folder after this one.

        Raises:
            TfmmError: If one has.
        """
        if not self._stands():
            raise TfmmError(
                f"Another job began to write `{self.folder}` after this one, so that "
                "this one's files were not put in place. Run one job at a time for a "
                f"folder; this one's work is in `{work}`."
            )

    def end(self) -> None:
        """Takes the claim on a remote folder back."""
        if self._stands():
            files.remove([_note(self.folder)])

    def _stands(self) -> bool:
        note = _note(self.folder)
        return files.facts(note) is not None and files.read(note) == self.run.encode()


@contextmanager
def claimed(folder: str, work: str) -> Iterator[Claim]:
    """Claims a folder; tidies what killed runs left where nobody else can be at work.

    Args:
        folder: The output folder.
        work: The run's work folder.

    Raises:
        TfmmError: If another job of this machine has it, or it cannot be replaced.
    """
    claim = Claim(folder, uuid.uuid4().hex)
    if not files.is_local(folder):
        _check_remote(folder)
        files.write(_note(folder), [claim.run.encode()])
        yield claim
        return
    _check_local(folder)
    with _locked(folder):
        manifest.remove_leftovers(Path(folder))
        _remove_leftovers(folder, work)
        yield claim


def unfinished(folder: str) -> str:
    """Where a remote commit names its files from its beginning to its end."""
    return f"{folder}.unfinished"


def _note(folder: str) -> str:
    return f"{folder}.claim"


def _check_local(folder: str) -> None:
    if os.path.ismount(folder):
        raise TfmmError(
            f"`{folder}` is where a disk is mounted, so it cannot be replaced at once. "
            f"Expected: a folder below it, such as `{files.join(folder, 'out')}`. "
            "Received: the disk's own folder."
        )
    manifest.check_replaceable(Path(folder))


def _check_remote(folder: str) -> None:
    marks = [files.join(folder, manifest.NAME), unfinished(folder)]
    if not any(files.each(files.facts, marks)) and files.names(folder):
        raise manifest.not_replaceable(folder)


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Holds the folder's lock; a killed process holds none."""
    path = f"{folder}.lock"
    with teaching(folder):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        held = lock(path)
    if held is None:
        raise TfmmError(
            f"Another job is writing `{folder}`. Expected: one job at a time. "
            "Received: a second one. Wait for it, or choose another folder."
        )
    try:
        yield
    finally:
        os.unlink(path)
        os.close(held)


def _remove_leftovers(folder: str, work: str) -> None:
    """Removes half-written files, and what runs of other inputs or arguments left."""
    place = Path(folder)
    for path in place.parent.glob(f"{glob.escape(place.name)}.work-*"):
        if str(path) != work:
            files.remove_folder(str(path))
    files.remove_folder(files.join(work, PARTS))
    files.remove_folder(files.join(work, PROGRESS))
