"""Searches that name no bought item, and the events that are purchases."""

import dataclasses
import re
from collections.abc import Mapping

from tfmm.onboarding import roles
from tfmm.onboarding.table_guess import TableGuess

# Best first.
_PURCHASES = (r"order|purchas|bought|buy", r"transaction|checkout|paid|payment|sale")


def purchase_type(events: TableGuess | None) -> str | None:
    """The type of events that is a purchase, by its name.

    Args:
        events: The events; `None` where there are none.
    """
    if events is None or "type" not in events.roles:
        return None
    values = events.profile.columns[events.roles["type"].column].values
    kinds = sorted(map(str, values.unique().to_pylist()))
    found = (x for p in _PURCHASES for x in kinds if re.search(p, x.lower()))
    return next(found, None)


def with_purchases(tables: Mapping[str, TableGuess]) -> dict[str, TableGuess]:
    """The tables, their searches with a user where purchases are among the events."""
    searches = tables.get("searches")
    if searches is None or "bought" not in searches.missing:
        return dict(tables)
    user = roles.by_name(searches.profile, "user", searches.taken)
    if user is None or purchase_type(tables.get("events")) is None:
        return dict(tables)
    missing = {k: v for k, v in searches.missing.items() if k != "bought"}
    known = searches.roles | {"user": user}
    return {
        **tables,
        "searches": dataclasses.replace(searches, roles=known, missing=missing),
    }
