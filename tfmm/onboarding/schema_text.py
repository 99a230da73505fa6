"""A guess as a commented schema file."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tfmm.onboarding.features import FeatureGuess, features
from tfmm.onboarding.proposal import Proposal
from tfmm.onboarding.purchases import purchase_type
from tfmm.onboarding.table_guess import Guess, TableGuess

_TODO = "TODO"
_WIDTH = 28
_ORDER = {
    "items": ("id", "title", "image"),
    "impressions": ("user", "item", "time", "labels", "request", "position"),
    "events": ("user", "item", "time", "type"),
    "searches": ("user", "time", "query_text", "query_image", "bought", "clicked"),
    "users": ("id",),
}
_REQUIRED = {
    "items": ("id",),
    "impressions": ("user", "item", "time", "labels"),
    "events": ("user", "item", "time"),
    "searches": ("time",),
    "users": ("id",),
}


def schema_text(
    guess: Guess, folder: Path, name: str, time_unit: str, proposal: Proposal | None
) -> str:
    """The YAML text; required roles without a column read `TODO`.

    Args:
        guess: The tables.
        folder: Where the file will be; paths are written relative to it.
        name: Name of the data set.
        time_unit: Unit of integer times.
        proposal: Split and sizes; `None` while the log cannot be read.
    """
    lines = [
        "# A guess by `tfmm init`: read every line, correct what is wrong.",
        f"name: {_scalar(name)}",
        "",
    ]
    for table in guess.tables.values():
        lines += [*_table(table, folder, guess), ""]
    if "impressions" not in guess.tables:
        lines += [*_no_impressions(guess.missing["impressions"]), ""]
    for profile, why in guess.unused:
        lines.append(f"# Not used: {', '.join(_files(profile.files, folder))} ({why}).")
    lines += [_line("", "time_unit", time_unit, "of integer time columns: s, ms, us")]
    lines += ["", *_rules(guess, proposal)]
    return "\n".join(lines) + "\n"


def _table(table: TableGuess, folder: Path, guess: Guess) -> Iterator[str]:
    yield f"{table.table}:"
    files = _files(table.profile.files, folder)
    shown = (
        _scalar(files[0]) if len(files) == 1 else f"[{', '.join(map(_scalar, files))}]"
    )
    yield f"  files: {shown}"
    order = [*_ORDER[table.table], "base_score"]
    for role in order:
        if role == "labels" and table.labels:
            names = ", ".join(_scalar(found.column) for found in table.labels)
            why = table.labels[0].why
            more = "; models train on the first" if len(table.labels) > 1 else ""
            yield _line("  ", "labels", f"[{names}]", why + more)
        elif role in table.roles:
            found = table.roles[role]
            also = f"; also seen: {', '.join(found.others)}" if found.others else ""
            yield _line("  ", role, _scalar(found.column), found.why + also)
            if role == "image" and table.profile.columns[found.column].kind == "text":
                yield _image_root(table, found.column, folder)
        elif role in table.missing or role in _REQUIRED[table.table]:
            value = f"[{_TODO}]" if role == "labels" else _TODO
            yield _line("  ", role, value, f"TODO: {table.missing.get(role, role)}")
            yield f"  # columns: {', '.join(table.profile.columns)}"
    yield from _features(features(table))


def _image_root(table: TableGuess, column: str, folder: Path) -> str:
    """The line of `image_root`, active where paths start beside the table."""
    beside = table.profile.files[0].parent.absolute()
    paths = table.profile.columns[column].values[:10].to_pylist()
    if beside != folder and any((beside / path).is_file() for path in paths):
        root = _scalar(Path(os.path.relpath(beside, folder)).as_posix())
        return _line("  ", "image_root", root, "the first pictures are found below it")
    return _line("  # ", "image_root", "images", "where paths start from")


def _features(found: list[FeatureGuess]) -> Iterator[str]:
    for group in ("context", "features"):
        mine = [feature for feature in found if feature.group == group]
        active = any(feature.active for feature in mine)
        if not mine:
            continue
        meaning = {"context": "one value a request", "features": "one value a row"}
        yield _line("  " if active else "  # ", group, "", meaning[group])
        for feature in mine:
            indent = "    " if feature.active else ("    # " if active else "  #   ")
            yield _line(indent, _scalar(feature.column), feature.kind, feature.why)


def _no_impressions(advice: str) -> Iterator[str]:
    yield "impressions:"
    yield _line("  ", "files", f"{_TODO}.parquet", f"TODO: {advice}")
    for role in ("user", "item", "time"):
        yield _line("  ", role, _TODO, "TODO: its column")
    yield _line("  ", "labels", f"[{_TODO}]", "TODO: its columns of 0 and 1")


def _rules(guess: Guess, proposal: Proposal | None) -> Iterator[str]:
    yield from _history(guess)
    yield from _pairs(guess)
    if proposal is None:
        yield "# TODO: choose the split once the impressions are complete."
        yield from _block("split", {"rule": "per_user_last_fraction"})
        return
    yield from ("# The largest request of the log.",)
    yield from _block("requests", {"max_items": proposal.max_items})
    yield ""
    yield from (f"# {line}" for line in proposal.why)
    yield from _block("split", proposal.split)


def _history(guess: Guess) -> Iterator[str]:
    log = guess.tables.get("impressions")
    if log is None or not log.labels:
        return
    label = log.labels[0].column
    yield "history:"
    yield _line("  ", "max_length", "50", "newest behaviours kept")
    if _events_hold(guess, label):
        yield _line("  ", "label", "null", f"the events have {label} already")
    else:
        why = f"impressions with {label} = 1 are behaviours; null: they are not"
        yield _line("  ", "label", _scalar(label), why)
    yield ""


def _pairs(guess: Guess) -> Iterator[str]:
    searches = guess.tables.get("searches")
    kind = purchase_type(guess.tables.get("events"))
    if searches is None or kind is None or "user" not in searches.roles:
        return
    yield "# Searches are joined with the purchases of their users."
    yield "pairs:"
    yield _line("  ", "purchase_type", _scalar(kind), "the events that are purchases")
    yield _line("  ", "window_seconds", "86400", "from a search to its purchase")
    yield ""


def _events_hold(guess: Guess, label: str) -> bool:
    """Whether the events already tell of the label under a similar name."""
    events = guess.tables.get("events")
    if events is None or "type" not in events.roles:
        return False
    values = events.profile.columns[events.roles["type"].column].values
    kinds = {re.sub(r"[^a-z]", "", str(v).lower()) for v in values.unique().to_pylist()}
    stem = re.sub(r"^(is|has|was)|[^a-z]", "", label.lower())
    # The job counts an event of the same name, user, item and moment once.
    return label not in values.unique().to_pylist() and any(
        kind and (kind in stem or stem in kind) for kind in kinds
    )


def _block(name: str, content: Mapping[str, object]) -> Iterator[str]:
    yield f"{name}:"
    yield from (f"  {key}: {value}" for key, value in content.items())


def _line(indent: str, key: str, value: str, comment: str) -> str:
    start = f"{indent}{key}: {value}".rstrip()
    return f"{start:<{_WIDTH}} # {comment}"


def _files(files: Iterable[Path], folder: Path) -> list[str]:
    return [Path(os.path.relpath(file, folder)).as_posix() for file in files]


def _scalar(text: str) -> str:
    """Text as YAML, quoted where it would read as something else."""
    plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text)
    words = ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
    if plain and text.lower() not in words:
        return text
    return json.dumps(text, ensure_ascii=False)
