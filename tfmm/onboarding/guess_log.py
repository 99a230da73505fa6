"""Which columns of a log play which role."""

from collections.abc import Mapping

from tfmm.errors import TfmmError
from tfmm.onboarding import roles
from tfmm.onboarding.profile import Profile
from tfmm.onboarding.roles import Found
from tfmm.onboarding.table_guess import TableGuess


def impressions_guess(
    profile: Profile, given: Mapping[str, str | None] | None = None
) -> TableGuess:
    """The roles of a table that is known to be the impressions.

    Args:
        profile: The table.
        given: Roles `user`, `item`, `time`, `label` whose column is known.

    Raises:
        TfmmError: If a given column does not exist.
    """
    known = {role: column for role, column in (given or {}).items() if column}
    for role, column in known.items():
        if column not in profile.columns:
            raise TfmmError(
                f"`{profile.files[0]}` has no column for the role `{role}`. Expected: "
                f"one of {', '.join(profile.columns)}. Received: {column!r}."
            )
    said = {r: Found(c, "as given") for r, c in known.items() if r != "label"}
    label = Found(known["label"], "as given") if "label" in known else None
    return as_impressions(profile, _log_columns(profile, said, label), label)


def log_roles(
    profile: Profile, items: TableGuess | None, users: TableGuess | None
) -> dict[str, Found] | None:
    """`user`, `item` and `time` of a log; `None` where it is no log."""
    found: dict[str, Found] = {}
    for role, other in (("user", users), ("item", items)):
        column = roles.by_name(profile, role, {f.column for f in found.values()})
        if column is None and other is not None:
            taken = {f.column for f in found.values()}
            column = roles.by_join(profile, other.id, f"the {role}s", taken)
        if column is None:
            return None
        found[role] = column
    return _log_columns(profile, found, None)


def _log_columns(
    profile: Profile, found: dict[str, Found], label: Found | None
) -> dict[str, Found]:
    found = dict(found)
    for role in ("user", "item"):
        taken = {f.column for f in found.values()} | (
            {label.column} if label else set()
        )
        if role not in found and (column := roles.by_name(profile, role, taken)):
            found[role] = column
    if "time" not in found:
        taken = {f.column for f in found.values()}
        if time := roles.time(profile, taken):
            found["time"] = time
    return found


def as_impressions(
    profile: Profile, found: Mapping[str, Found], label: Found | None
) -> TableGuess:
    """A log as impressions, with what is missing for it.

    Args:
        profile: The table.
        found: What `log_roles` found.
        label: The label's column, where it is known.
    """
    kept = dict(found)
    taken = {f.column for f in kept.values()}
    marks = [label] if label else roles.labels(profile, taken)
    taken |= {f.column for f in marks}
    for role in ("request", "position", "base_score"):
        if column := roles.by_name(profile, role, taken):
            kept[role] = column
            taken.add(column.column)
    missing = {
        role: f"the column of {what}"
        for role, what in (
            ("user", "the user id"),
            ("item", "the shown item's id"),
            ("time", "the moment"),
        )
        if role not in kept
    }
    if not marks:
        missing["labels"] = (
            "a column of 0 and 1; make one where there is none, such as "
            "click = (rating >= 4)"
        )
    return TableGuess("impressions", profile, kept, tuple(marks), missing)


def as_events(profile: Profile, found: Mapping[str, Found]) -> TableGuess:
    """A log as events, with what is missing for it."""
    kept = dict(found)
    kind = roles.by_name(profile, "type", {f.column for f in kept.values()})
    if kind:
        kept["type"] = kind
    missing = {} if "time" in kept else {"time": "the column of the moment"}
    return TableGuess("events", profile, kept, missing=missing)
