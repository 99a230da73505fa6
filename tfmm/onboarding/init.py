"""`tfmm init`: from files to a commented schema and a data check."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfmm.errors import TfmmError
from tfmm.onboarding import log
from tfmm.onboarding.check import CheckReport, check
from tfmm.onboarding.guess import guess
from tfmm.onboarding.profile import find_files, profiles
from tfmm.onboarding.proposal import propose
from tfmm.onboarding.schema_text import schema_text
from tfmm.onboarding.table_guess import Guess
from tfmm.schema import Schema


def init(
    files: Iterable[str | Path],
    out: str | Path,
    console: Any = None,
    force: bool = False,
) -> CheckReport:
    """Guesses a schema from tables, writes it with comments, prints a data check.

    Args:
        files: Parquet, CSV or JSON lines files, or folders of them.
        out: The schema file to write.
        console: A `rich` console; standard output when absent.
        force: Whether to overwrite an existing file.

    Returns:
        The data check.

    Raises:
        TfmmError: If `out` exists, a file cannot be read, or a required role has no
            column; in the last case the file is written, with `TODO` in its place.
    """
    from rich.console import Console

    console = console or Console()
    out = Path(out)
    if out.exists() and not force:
        raise TfmmError(
            f"`{out}` exists. Received: no --force. Give --force to overwrite it, or "
            "another --out."
        )
    if not out.absolute().parent.is_dir():
        raise TfmmError(
            f"There is no folder `{out.parent}` for the schema. Create it first."
        )
    found = guess(profiles(find_files(files)))
    schema = write_schema(found, out)
    if found.missing:
        lines = [f"  {role}: {advice}" for role, advice in found.missing.items()]
        raise TfmmError(
            f"`{out}` is written, but not everything could be guessed. Missing:\n"
            + "\n".join(lines)
            + f"\nFill in the TODO lines of `{out}`, then run `tfmm check {out}`."
        )
    console.print(f"Wrote {out}. Read it: every line says why it was guessed.\n")
    report = check(schema)
    console.print(report.render())
    return report


def write_schema(found: Guess, out: Path) -> Schema:
    """Writes the commented schema, whole or not at all; returns it as read back."""
    name = out.stem
    folder = out.absolute().parent
    unit = _time_unit(found)
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(schema_text(found, folder, name, unit, None), "utf-8")
        schema = Schema.from_yaml(draft)
        if not found.missing:
            impressions = log.log_table(schema, "impressions", log.Dead())
            if impressions is not None:
                text = schema_text(
                    found, folder, name, unit, propose(impressions, schema)
                )
                draft.write_text(text, "utf-8")
                schema = Schema.from_yaml(draft)
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    return schema


def _time_unit(found: Guess) -> str:
    """The unit of integer times, by their magnitude in the log."""
    units = []
    for name in ("impressions", "events", "searches"):
        table = found.tables.get(name)
        if table and "time" in table.roles:
            column = table.profile.columns[table.roles["time"].column]
            if column.time_unit not in (None, "iso"):
                units.append(column.time_unit)
    if len(set(units)) > 1:
        raise TfmmError(
            f"The tables count time in different units. Received: {units}. Convert "
            "the time columns to one unit, or to dates."
        )
    return units[0] if units else "s"
