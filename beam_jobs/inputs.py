"""What a job reads, so that changes between and during runs are noticed."""

import datetime
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tfmm
from beam_jobs import files
from beam_jobs.files import Facts
from beam_jobs.stretch import EVERYTHING, Stretch
from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.manifest import FORMAT, NAME
from tfmm.schema import Schema


@dataclass(frozen=True)
class Inputs:
    """The files that a job reads, as they were when it began.

    Args:
        read: Files of tables -> bytes and time of the last change.
        made: The same of manifests of finished outputs.
        rows: Table -> its rows, or about as many.
        schema: The schema's content.
    """

    read: Mapping[str, Facts]
    made: Mapping[str, Facts]
    rows: Mapping[str, int]
    schema: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        schema: Schema | None,
        names: Sequence[str],
        folders: Sequence[str],
        stretch: Stretch = EVERYTHING,
    ) -> "Inputs":
        """Looks at tables of the schema, and at the manifests of finished outputs.

        Args:
            schema: The schema.
            names: Names of the tables.
            folders: The finished outputs.
            stretch: The days whose rows are read.
        """
        rows, read = {}, dict[str, Facts]()
        for name in names:
            assert schema is not None
            table = getattr(schema, name)
            every = tables.parts(table, schema.folder)
            pieces = stretch.within(table, every, schema.time_unit)
            rows[name] = sum(piece.rows for piece in pieces)
            paths = tables.files(table, schema.folder)
            read |= zip(paths, files.each(tables.facts, paths), strict=True)
        made = [files.join(files.checked(folder), NAME) for folder in folders]
        content = schema.model_dump(mode="json") if schema else {}
        return cls(read, {path: files.facts(path) for path in made}, rows, content)

    def check_known(self, schema: Schema | None) -> None:
        """Refuses to read files that came after this look at them.

        Raises:
            TfmmError: If there are any.
        """
        for name in self.rows:
            assert schema is not None
            found = tables.files(getattr(schema, name), schema.folder)
            if new := [path for path in found if path not in self.read]:
                raise TfmmError(
                    f"`{new[0]}` came while the job was being planned. Expected: the "
                    f"same files of `{name}` all the time. Received: {len(new)} new. "
                    "Run the job again."
                )

    def digest(self, job: str, arguments: Mapping[str, Any]) -> str:
        """Names everything that the job's output depends on: 16 hexadecimal digits."""
        content = {
            "job": job,
            "versions": [tfmm.__version__, FORMAT],
            "arguments": dict(arguments),
            "files": [*self.read.items(), *self.made.items()],
            "schema": self.schema,
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check_unchanged(self) -> None:
        """Refuses an output of inputs that were not the same all the time.

        Raises:
            TfmmError: If a file changed or is gone.
        """
        _check(self.read, tables.facts)
        _check(self.made, files.facts)

    def bytes(self) -> int:
        """Bytes of all files."""
        facts = (*self.read.values(), *self.made.values())
        return sum(fact[0] for fact in facts if fact)


def _check(before: Mapping[str, Facts], look: Callable[[str], Facts]) -> None:
    for path, now in zip(before, files.each(look, before), strict=True):
        if now != (then := before[path]):
            raise TfmmError(
                f"`{path}` {'changed' if now else 'vanished'} while the job read it, "
                f"so nothing was put in place. Expected: {_said(then)}. Received: "
                f"{_said(now)}. Run the job again on files at rest."
            )


def _said(facts: Facts) -> str:
    if facts is None:
        return "no file"
    changed = datetime.datetime.fromtimestamp(facts[1] / 1e9, datetime.UTC)
    return f"{facts[0]:,} bytes, changed at {changed:%Y-%m-%dT%H:%M:%S.%fZ}"
