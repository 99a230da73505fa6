"""What a job reads, so that changes between and during runs are noticed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tfmm
from beam_jobs import files
from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.manifest import FORMAT, NAME
from tfmm.schema import Schema

Facts = tuple[int, float] | None


@dataclass(frozen=True)
class Inputs:
    """The files that a job reads, as they were when it began.

    Args:
        files: Path -> bytes and time of the last change.
        rows: Table -> its rows, or about as many.
        schema: The schema's content.
    """

    files: Mapping[str, Facts]
    rows: Mapping[str, int]
    schema: Mapping[str, Any]

    @classmethod
    def of(
        cls, schema: Schema | None, names: Sequence[str], folders: Sequence[str]
    ) -> "Inputs":
        """Looks at tables of the schema, and at the manifests of finished outputs."""
        paths = [files.join(folder, NAME) for folder in folders]
        rows = {}
        for name in names:
            assert schema is not None
            pieces = tables.parts(getattr(schema, name), schema.folder)
            rows[name] = sum(piece.rows for piece in pieces)
            paths += dict.fromkeys(piece.file for piece in pieces)
        content = schema.model_dump(mode="json") if schema else {}
        return cls({path: files.facts(path) for path in paths}, rows, content)

    def digest(self, job: str, arguments: Mapping[str, Any]) -> str:
        """Names everything that the job's output depends on: 16 hexadecimal digits."""
        content = {
            "job": job,
            "versions": [tfmm.__version__, FORMAT],
            "arguments": dict(arguments),
            "files": {path: list(fact or ()) for path, fact in self.files.items()},
            "schema": self.schema,
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check_unchanged(self) -> None:
        """Refuses an output of inputs that were not the same all the time.

        Raises:
            TfmmError: If a file changed or is gone.
        """
        for path, then in self.files.items():
            now = files.facts(path)
            if now != then:
                raise TfmmError(
                    f"`{path}` {'changed' if now else 'vanished'} while the job read "
                    f"it, so nothing was put in place. Expected: {_said(then)}. "
                    f"Received: {_said(now)}. Run the job again on files at rest."
                )

    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(fact[0] for fact in self.files.values() if fact)


def _said(facts: Facts) -> str:
    return f"{facts[0]:,} bytes, last changed at {facts[1]}" if facts else "no file"
