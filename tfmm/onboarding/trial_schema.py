"""The schema of a trial: guessed from the impressions alone, or the shop's own."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfmm.errors import TfmmError
from tfmm.onboarding import log
from tfmm.onboarding.features import features
from tfmm.onboarding.guess_log import impressions_guess
from tfmm.onboarding.profile import find_files, profiles
from tfmm.onboarding.proposal import propose
from tfmm.onboarding.table_guess import TableGuess
from tfmm.schema import Schema

_OPTIONS = {"user": "--user", "item": "--item", "time": "--time", "labels": "--label"}
_PLACEHOLDER = {"rule": "per_user_last_fraction"}


def trial_schema(
    impressions: str | Path | None,
    schema: str | Path | None,
    given: Mapping[str, str | None],
) -> tuple[Schema, str]:
    """The schema with absolute paths, and a sentence on where it comes from.

    Args:
        impressions: The impressions; may be absent beside a schema.
        schema: A schema file; its own impressions are replaced by `impressions`.
        given: Roles `user`, `item`, `time`, `label` whose column is known.

    Raises:
        TfmmError: If neither is given, or a required role has no column.
    """
    if schema is not None:
        shop = Schema.from_yaml(schema)
        named = {role: column for role, column in given.items() if column}
        if named:
            raise TfmmError(
                "Roles come from the schema file or from options, not from both. "
                f"Received: {schema} and {named}. Leave one out."
            )
        return _absolute(shop, impressions), f"Roles as in {schema}."
    if impressions is None:
        raise TfmmError(
            "A trial needs the impressions. Received: neither --impressions nor "
            "--schema. Name a file with one row for every shown item."
        )
    table = _guessed(impressions, given)
    content = _content(table, _PLACEHOLDER, 1)
    draft = Schema.model_validate(content)
    read = log.log_table(draft, "impressions", log.Dead())
    if read is None:
        raise TfmmError(
            f"No row of `{impressions}` can be read. Expected: user, item, time and a "
            "label of 0 or 1. Received: unreadable values. Name the columns by "
            "--user, --item, --time and --label."
        )
    proposal = propose(read, draft)
    # Nothing is chosen on validation rows here, so they train.
    split = {k: v for k, v in proposal.split.items() if not k.startswith("validation")}
    found = Schema.model_validate(_content(table, split, proposal.max_items))
    return found, _sentence(found)


def _guessed(impressions: str | Path, given: Mapping[str, str | None]) -> TableGuess:
    found = profiles(find_files([impressions]))
    if len(found) > 1:
        raise TfmmError(
            "The impressions must be one table. Received: "
            f"{len(found)} tables below `{impressions}`. Name one file."
        )
    table = impressions_guess(found[0], given)
    if table.missing:
        lines = [f"  {_OPTIONS[role]}: {what}" for role, what in table.missing.items()]
        raise TfmmError(
            f"Not every role of `{impressions}` could be guessed. Received: columns "
            f"{', '.join(found[0].columns)}. Name the column by\n" + "\n".join(lines)
        )
    return table


def _content(
    table: TableGuess, split: Mapping[str, Any], max_items: int
) -> dict[str, Any]:
    label = table.labels[0].column
    time = table.profile.columns[table.roles["time"].column]
    log_roles = ("user", "item", "time", "request", "position")
    roles = {r: table.roles[r].column for r in log_roles if r in table.roles}
    for feature in features(table):
        if feature.active:
            group = roles.setdefault(feature.group, {})  # type: ignore[arg-type]
            group[feature.column] = feature.kind  # type: ignore[index]
    files = [str(file.absolute()) for file in table.profile.files]
    unit = time.time_unit
    return {
        "name": "trial",
        "impressions": {"files": files, "labels": [label], **roles},
        "time_unit": unit if unit in ("s", "ms", "us") else "s",
        "history": {"label": label},
        "requests": {"max_items": max_items},
        "split": dict(split),
    }


def _sentence(schema: Schema) -> str:
    log = schema.impressions
    roles = f"user {log.user}, item {log.item}, time {log.time}, label {log.labels[0]}"
    if log.request:
        roles += f", request {log.request}"
    used = [*log.context, *log.features]
    roles += f", features {', '.join(used)}" if used else ""
    return f"Guessed: {roles}; split {schema.split.rule}."


def _absolute(schema: Schema, impressions: str | Path | None) -> Schema:
    """Only what a trial needs, readable from any folder."""
    content = schema.model_dump(mode="json")
    for name in ("items", "impressions", "events", "users"):
        if content[name] is not None:
            files = content[name]["files"]
            files = [files] if isinstance(files, str) else files
            content[name]["files"] = [
                file if "://" in file else str(schema.folder / file) for file in files
            ]
    if impressions is not None:
        found = find_files([impressions])
        content["impressions"]["files"] = [str(file.absolute()) for file in found]
    content["searches"] = None
    return Schema.model_validate(content)


def written(schema: Schema, folder: Path) -> Path:
    """Writes the schema into a folder, whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".yaml", delete=False) as file:
        draft = Path(file.name)
    schema.to_yaml(draft)
    return draft.replace(folder / "schema.yaml")
