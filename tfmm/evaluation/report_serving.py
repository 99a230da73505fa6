"""What the report reads about the run itself: timings and the served answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfmm.evaluation.report_json import read_json


def timings(out: Path) -> dict[str, float]:
    """Seconds that each stage took when it last ran, in the order they ran."""
    paths = sorted((out / ".stages").glob("*.json"), key=lambda p: p.stat().st_mtime)
    tickets = {path.stem: read_json(path) for path in paths}
    return {name: t["seconds"] for name, t in tickets.items() if "seconds" in t}


def served_answer(out: Path) -> Any:
    """What the served model answered, which versions were published, and why."""
    found = [
        read_optional(out / folder / name)
        for folder, name in (
            ("serving", "served.json"),
            ("evaluation", "served.json"),
        )
    ]
    answer = next((facts for facts in found if facts is not None), None)
    notes = {
        name: read_optional(out / "serving" / file)
        for name, file in (("published", "export.json"), ("compared", "publish.json"))
    }
    notes = {name: note for name, note in notes.items() if note is not None}
    return {**(answer or {}), **notes} or None


def read_optional(path: Path) -> Any:
    """The JSON file's content, or `None` when there is no such file."""
    return read_json(path) if path.is_file() else None
