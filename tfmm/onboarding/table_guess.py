"""What a guess says: tables, roles, and what is missing."""

import dataclasses
from collections.abc import Mapping

from tfmm.onboarding.column import Column
from tfmm.onboarding.profile import Profile
from tfmm.onboarding.roles import Found

TABLES = ("items", "impressions", "events", "searches", "users")


@dataclasses.dataclass(frozen=True)
class TableGuess:
    """What one table is thought to be.

    Args:
        table: `items`, `impressions`, `events`, `searches` or `users`.
        profile: Its files and columns.
        roles: Role -> column; of impressions all but the labels.
        labels: Label columns of impressions, the one to train on first.
        missing: Required roles without a column -> what to do.
    """

    table: str
    profile: Profile
    roles: dict[str, Found]
    labels: tuple[Found, ...] = ()
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def id(self) -> Column:
        """The column of the table's own ids."""
        return self.profile.columns[self.roles["id"].column]

    @property
    def taken(self) -> set[str]:
        """Columns that play a role."""
        return {found.column for found in (*self.roles.values(), *self.labels)}


@dataclasses.dataclass(frozen=True)
class Guess:
    """All tables that were recognised, and the files that were not.

    Args:
        tables: By name of the table in the schema.
        unused: Profiles without a place, and why.
    """

    tables: Mapping[str, TableGuess]
    unused: tuple[tuple[Profile, str], ...] = ()

    @property
    def missing(self) -> dict[str, str]:
        """Required roles without a column, as `table.role` -> what to do."""
        found = {
            f"{table.table}.{role}": advice
            for table in self.tables.values()
            for role, advice in table.missing.items()
        }
        if "impressions" not in self.tables:
            found["impressions"] = (
                "a table with one row for every shown item: user, item, time and "
                "whether it was clicked (0 or 1)"
            )
        return found
