"""A job's output: claimed, written aside, put in place at once, manifest last.

On a local disk the finished work takes the output's place by one rename, and a lock
keeps a second job away. Object stores know neither: there every file is moved, the
manifests last, and the commit notices whether another job claimed the place meanwhile.

    NAME                   the output
    NAME.work-FINGERPRINT  what is finished of it (`beam_jobs.work`)
    NAME.lock              local: held while a job runs
    NAME.claim             remote: the job that began last
    NAME.unfinished        remote: files of a commit that has begun and not ended
"""

import heapq
import json
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from beam_jobs import files
from beam_jobs.claim import Claim, claimed, unfinished
from beam_jobs.work import LETTERS, OUT, UNITS, Work, shard_key, whole_units
from tfmm.errors import TfmmError
from tfmm.records import manifest

DEAD = "dead_letters.jsonl"
# Part -> kind, counts and facts of its manifest; "" is the output itself.
Manifests = Mapping[str, Mapping[str, Any]]


class Output:
    """An output folder under way; `writing` opens it.

    Args:
        claim: The claim on its folder.
        work: Its work folder.
    """

    def __init__(self, claim: Claim, work: Work) -> None:
        self.folder, self.work, self._claim = claim.folder, work, claim

    def commit(self, manifests: Manifests) -> None:
        """Puts all finished files in place, with their manifests.

        Args:
            manifests: Per part, with `""` for the whole.

        Raises:
            TfmmError: If another job claimed the folder, or a shard is missing.
        """
        made = self._made() | self._merge_letters()
        texts = {
            f"{part}/{manifest.NAME}".lstrip("/"): manifest.manifest_text(
                files=_below(made, part), **facts
            )
            for part, facts in sorted(manifests.items(), reverse=True)
        }
        if files.is_local(self.folder):
            for name, text in texts.items():
                files.write(self.work.path(OUT, name), [text.encode()])
            manifest.put_in_place(Path(self.work.path(OUT)), Path(self.folder))
        else:
            self._move_files(made, texts)
        self._remove_work()

    def commit_saved(self, saved: Path) -> None:
        """Puts a folder with a manifest in place, and the dead letters with it."""
        found = json.loads((saved / manifest.NAME).read_bytes())
        for name in (letters := self._merge_letters()):
            files.write(str(saved / name), files.content(self.work.path(OUT, name)))
        found["files"] |= letters
        text = manifest.manifest_text(**{k: found[k] for k in found if k != "format"})
        files.write(str(saved / manifest.NAME), [text.encode()])
        if files.is_local(self.folder):
            manifest.put_in_place(saved, Path(self.folder))
        else:
            for name in found["files"]:
                content = files.content(str(saved / name))
                self.work.write_whole(f"{OUT}/{name}", content)
            self._move_files(found["files"], {manifest.NAME: text})
        self._remove_work()

    def _remove_work(self) -> None:
        """Removes the work folder; the records first, which vouch for the rest."""
        files.remove_folder(self.work.path(UNITS))
        files.remove_folder(self.work.folder)

    def _made(self) -> dict[str, dict[str, Any]]:
        """All finished files by name.

        Raises:
            TfmmError: If a shard is missing.
        """
        units = whole_units(self.work.folder)
        keys = map(shard_key, range(self.work.shards))
        missing = [key for key in keys if key not in units]
        if missing:
            raise TfmmError(
                f"`{self.folder}` cannot be finished. Expected: {self.work.shards} "
                f"shards. Received: none of {', '.join(missing[:5])}. Run the job "
                "again: finished shards are kept."
            )
        return {
            name.removeprefix(f"{OUT}/"): fact
            for unit in units.values()
            for name, fact in unit["files"].items()
            if name.startswith(f"{OUT}/")
        }

    def _merge_letters(self) -> dict[str, dict[str, Any]]:
        """All dead letters as one file, in the order of file and row."""
        folder = self.work.path(LETTERS)
        paths = [files.join(folder, name) for name in files.names(folder, ".jsonl")]
        if not paths:
            return {}
        with ExitStack() as stack, self.work.unit("letters") as unit:
            sources = [stack.enter_context(_lines(path)) for path in paths]
            unit.write(DEAD, heapq.merge(*sources, key=_place))
        return {DEAD: unit.facts[f"{OUT}/{DEAD}"]}

    def _move_files(self, made: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """The commit where no folder can be renamed; killed, the next run ends it."""
        self._claim.check(self.work.folder)
        whole = files.join(self.folder, manifest.NAME)
        marker = unfinished(self.folder)
        earlier = _named(whole) | _named(marker)
        files.write(marker, [json.dumps(sorted({*earlier, *made})).encode()])
        # Without its manifests, what stands there is no output any more.
        parts = {posixpath.dirname(name) for name in earlier}
        manifests = [
            posixpath.join(self.folder, part, manifest.NAME) for part in sorted(parts)
        ]
        files.remove([whole])
        files.remove(manifests)
        stale = sorted(earlier - {*made})
        files.remove([files.join(self.folder, name) for name in stale])
        files.move(
            {self.work.path(OUT, x): files.join(self.folder, x) for x in sorted(made)}
        )
        self._claim.check(self.work.folder)
        for name, text in texts.items():
            files.write(files.join(self.folder, name), [text.encode()])
        files.remove([marker])
        self._claim.end()


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
            cannot be replaced.
    """
    place = work_folder(folder, digest)
    with claimed(folder, place) as claim:
        done = frozenset(whole_units(place))
        yield Output(claim, Work(place, shards, done, claim.run))


def work_folder(folder: str, digest: str) -> str:
    """Where a job's work for an output is."""
    return f"{folder}.work-{digest}"


def _named(path: str) -> set[str]:
    """Names of the files that a manifest or a list of files has; none without it."""
    if files.facts(path) is None:
        return set()
    found = json.loads(files.read(path))
    return set(found["files"] if isinstance(found, dict) else found)


def _below(made: Mapping[str, Any], part: str) -> dict[str, Any]:
    prefix = f"{part}/" if part else ""
    return {
        name.removeprefix(prefix): made[name]
        for name in sorted(made)
        if name.startswith(prefix)
    }


def _place(line: bytes) -> tuple[str, ...]:
    return tuple(json.loads(line).values())


@contextmanager
def _lines(path: str) -> Iterator[Iterator[bytes]]:
    if files.is_local(path):
        with open(path, "rb") as file:
            yield iter(file)
    else:
        yield iter(files.read(path).splitlines(keepends=True))
