"""Which table each file is, and which role each column plays."""

from collections.abc import Callable, Mapping, Sequence

from tfmm.onboarding import roles
from tfmm.onboarding.guess_log import as_events, as_impressions, log_roles
from tfmm.onboarding.names import OWN_ID, fits, tables_of
from tfmm.onboarding.profile import Profile
from tfmm.onboarding.purchases import with_purchases
from tfmm.onboarding.roles import Found
from tfmm.onboarding.table_guess import TABLES, Guess, TableGuess


def guess(profiles: Sequence[Profile]) -> Guess:
    """Guesses from names, types and values.

    Args:
        profiles: What `profile.profiles` read.
    """
    tables: dict[str, TableGuess] = {}
    unused: list[tuple[Profile, str]] = []
    rest = list(profiles)
    for name, recognise in (("items", _items), ("users", _users)):
        _claim(name, recognise, rest, tables, unused)
    known = tables.get("items"), tables.get("users")
    _claim("searches", lambda p: _searches(p, known[0]), rest, tables, unused)
    logs = {id(p): found for p in rest if (found := log_roles(p, *known))}
    for profile in [p for p in rest if id(p) not in logs]:
        unused.append((profile, "no user and item columns were found in it"))
    _place_logs([p for p in rest if id(p) in logs], logs, tables, unused)
    tables = with_purchases(tables)
    return Guess({t: tables[t] for t in TABLES if t in tables}, tuple(unused))


def _claim(
    name: str,
    recognise: Callable[[Profile], TableGuess | None],
    rest: list[Profile],
    tables: dict[str, TableGuess],
    unused: list[tuple[Profile, str]],
) -> None:
    """Moves what is recognised from `rest` to `tables`, the best named first."""
    found = [(p, guess) for p in rest if (guess := recognise(p)) is not None]
    found.sort(key=lambda pair: name not in tables_of(pair[0].name))
    for profile, table in found:
        rest.remove(profile)
        if name in tables:
            unused.append((profile, f"another file serves as {name}"))
        else:
            tables[name] = table


def _items(profile: Profile) -> TableGuess | None:
    if roles.by_name(profile, "user"):
        return None
    own = _own_id(profile, "items", "item")
    if own is None:
        return None
    found = {"id": own}
    for role in ("title", "image"):
        taken = {f.column for f in found.values()}
        column = (
            roles.picture(profile, taken, "image")
            if role == "image"
            else roles.by_name(profile, role, taken)
        )
        if column:
            found[role] = column
    if len(profile.columns) > 1 and _searched(profile) and "title" not in found:
        return None
    return TableGuess("items", profile, found)


def _users(profile: Profile) -> TableGuess | None:
    if roles.by_name(profile, "item"):
        return None
    own = _own_id(profile, "users", "user")
    return None if own is None else TableGuess("users", profile, {"id": own})


def _own_id(profile: Profile, table: str, role: str) -> Found | None:
    named = roles.by_name(profile, role)
    if named and (
        profile.columns[named.column].is_unique or table in tables_of(profile.name)
    ):
        return named
    if named or table not in tables_of(profile.name):
        return None
    for name, column in profile.columns.items():
        if fits(name, OWN_ID) and column.is_unique:
            return Found(name, "by its name, in a file of that name")
    return None


def _searched(profile: Profile) -> bool:
    return any(roles.by_name(profile, role) for role in ("query_text", "query_image"))


def _searches(profile: Profile, items: TableGuess | None) -> TableGuess | None:
    bought = roles.by_name(profile, "bought")
    named = "searches" in tables_of(profile.name)
    if not (bought or named) or not _searched(profile):
        return None
    found = {"bought": bought} if bought else {}
    for role in ("query_text", "clicked"):
        taken = {f.column for f in found.values()}
        if column := roles.by_name(profile, role, taken):
            found[role] = column
    taken = {f.column for f in found.values()}
    if column := roles.picture(profile, taken, "query_image"):
        found["query_image"] = column
    taken = {f.column for f in found.values()}
    if column := roles.time(profile, taken):
        found["time"] = column
    if "bought" not in found:
        item = roles.by_name(profile, "item", taken) or (
            roles.by_join(profile, items.id, "items", taken) if items else None
        )
        if item:
            found["bought"] = item
    missing = {
        role: f"the column of {what}"
        for role, what in (("time", "the moment"), ("bought", "the bought item's id"))
        if role not in found
    }
    return TableGuess("searches", profile, found, missing=missing)


def _place_logs(
    logs: list[Profile],
    found: Mapping[int, dict[str, Found]],
    tables: dict[str, TableGuess],
    unused: list[tuple[Profile, str]],
) -> None:
    """The impressions have a label; other logs are events."""

    def order(profile: Profile) -> tuple[bool, bool, bool]:
        guess = as_impressions(profile, found[id(profile)], None)
        hints = tables_of(profile.name)
        typed = roles.by_name(profile, "type", guess.taken) is not None
        return not guess.labels, "impressions" not in hints, typed

    logs = sorted(logs, key=order)
    for profile in logs:
        log = as_impressions(profile, found[id(profile)], None)
        events = as_events(profile, found[id(profile)])
        eventful = "type" in events.roles and not log.labels
        if "impressions" not in tables and not eventful:
            tables["impressions"] = log
        elif "events" not in tables:
            tables["events"] = events
        else:
            unused.append((profile, "other files serve as impressions and events"))
