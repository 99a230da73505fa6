"""Which column plays which role, by names first, then by values."""

import dataclasses
from collections.abc import Callable, Collection

from tfmm.onboarding.column import Column
from tfmm.onboarding.names import rank
from tfmm.onboarding.profile import Profile

_FITS: dict[str, Callable[[Column], bool]] = {
    "user": lambda c: c.is_id,
    "item": lambda c: c.is_id,
    "time": lambda c: c.kind in ("time", "integer", "number") or c.time_unit == "iso",
    "label": lambda c: c.is_binary,
    "request": lambda c: c.is_id,
    "position": lambda c: c.kind == "integer",
    "base_score": lambda c: c.kind == "number",
    "type": lambda c: c.kind == "text" and 0 < c.distinct <= 30,
    "title": lambda c: c.kind == "text" and not c.has_pictures,
    "image": lambda c: c.kind == "bytes" or c.kind == "text",
    "query_text": lambda c: c.kind == "text" and not c.has_pictures,
    "query_image": lambda c: c.kind in ("bytes", "text"),
    "bought": lambda c: c.is_id,
    "clicked": lambda c: c.kind in ("list", "text"),
}


@dataclasses.dataclass(frozen=True)
class Found:
    """A role's column.

    Args:
        column: Its name.
        why: What speaks for it.
        others: Columns that were thought of too.
    """

    column: str
    why: str
    others: tuple[str, ...] = ()


def by_name(profile: Profile, role: str, taken: Collection[str] = ()) -> Found | None:
    """The column whose name and type fit a role best.

    Args:
        profile: The table.
        role: The role.
        taken: Columns that play another role.
    """
    ranked = sorted(
        (place, _doubt(profile.columns[name], role), number, name)
        for number, name in enumerate(profile.columns)
        if name not in taken
        and (place := rank(name, role)) is not None
        and _FITS[role](profile.columns[name])
    )
    if not ranked:
        return None
    names = [name for *_, name in ranked]
    return Found(names[0], "by its name", tuple(names[1:4]))


def labels(profile: Profile, taken: Collection[str]) -> list[Found]:
    """The label columns, the one to train on first."""
    first = by_name(profile, "label", taken)
    if first is not None:
        more = (Found(name, "a further label, by its name") for name in first.others)
        return [dataclasses.replace(first, others=()), *more]
    return _single(profile, taken, lambda c: c.is_binary, "the only column of 0 and 1")


def time(profile: Profile, taken: Collection[str]) -> Found | None:
    """The column of the moment."""
    found = by_name(profile, "time", taken)
    if found is not None:
        return found
    unsaid = _single(
        profile, taken, lambda c: c.time_unit is not None, "the only column of times"
    )
    return unsaid[0] if unsaid else None


def picture(profile: Profile, taken: Collection[str], role: str) -> Found | None:
    """The column of pictures, or of names of picture files."""
    pictures = [
        name
        for name, column in profile.columns.items()
        if name not in taken and column.has_pictures
    ]
    found = by_name(profile, role, taken)
    if found is not None and (found.column in pictures or not pictures):
        return found
    if found is None and not pictures:
        return None
    others = tuple(pictures[1:]) + ((found.column,) if found else ())
    return Found(pictures[0], "its values are pictures or their names", others)


def by_join(
    profile: Profile, known: Column, what: str, taken: Collection[str]
) -> Found | None:
    """The column whose values are ids of another table."""
    shares = {
        name: column.share_in(known)
        for name, column in profile.columns.items()
        if name not in taken and column.is_id
    }
    good = sorted(
        (name for name in shares if shares[name] >= 0.5), key=lambda n: -shares[n]
    )
    if not good:
        return None
    why = f"{shares[good[0]]:.0%} of its values are ids of {what}"
    return Found(good[0], why, tuple(good[1:]))


def _single(
    profile: Profile,
    taken: Collection[str],
    fits: Callable[[Column], bool],
    why: str,
) -> list[Found]:
    found = [
        name
        for name, column in profile.columns.items()
        if name not in taken and fits(column)
    ]
    return [Found(found[0], why)] if len(found) == 1 else []


def _doubt(column: Column, role: str) -> int:
    """1 where the values say less than the name: `date` beside a full timestamp."""
    if role == "time":
        return int(column.time_unit is None)
    if role == "image":
        return int(not column.has_pictures)
    return 0
