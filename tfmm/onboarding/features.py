"""Which further columns a model can use, and which are better left alone."""

import dataclasses

import pyarrow as pa
import pyarrow.compute as pc

from tfmm.onboarding.column import Column
from tfmm.onboarding.names import FEATURES, OUTCOMES, fits
from tfmm.onboarding.table_guess import TableGuess
from tfmm.schema import Kind

_MOST_CODES = 50


@dataclasses.dataclass(frozen=True)
class FeatureGuess:
    """A column without a role.

    Args:
        column: Its name.
        kind: How a model would read it.
        group: `features` or, of impressions, `context`.
        active: Whether the schema uses it.
        why: What speaks for or against it.
    """

    column: str
    kind: Kind
    group: str
    active: bool
    why: str


def features(table: TableGuess) -> list[FeatureGuess]:
    """All columns of a table that could be features, in the file's order."""
    if table.table not in ("items", "users", "impressions"):
        return []
    return [
        _feature(table, column)
        for name, column in table.profile.columns.items()
        if name not in table.taken and column.kind not in ("bytes", "list", "other")
    ]


def _feature(table: TableGuess, column: Column) -> FeatureGuess:
    kind = _kind(column)
    groups = ["features"]
    names = {"features": FEATURES.get(table.table, "")}
    if table.table == "impressions":
        constant = _is_of_the_request(table, column)
        groups = ["context"] if constant else ["features"]
        names = {group: FEATURES[group] for group in ("context", "features")}
    group = groups[0]
    if table.table == "impressions" and fits(column.name, OUTCOMES):
        why = "looks like an outcome, known only afterwards: would leak the label"
        return FeatureGuess(column.name, kind, group, False, why)
    if column.is_binary and table.table == "impressions":
        why = "0 or 1; a further label? Then name it in `labels`"
        return FeatureGuess(column.name, kind, group, False, why)
    if column.time_unit is not None:
        why = "a time; not a feature as it is"
        return FeatureGuess(column.name, kind, group, False, why)
    if kind == "categorical" and column.distinct > max(0.5 * len(column.values), 100):
        why = "nearly every row has a value of its own"
        return FeatureGuess(column.name, kind, group, False, why)
    known = any(fits(column.name, pattern) for pattern in names.values())
    why = "by its name" if known else "unknown; uncomment to use it"
    return FeatureGuess(column.name, kind, group, known, why)


def _kind(column: Column) -> Kind:
    if column.kind == "number":
        return "numeric"
    few = column.distinct <= _MOST_CODES
    if column.kind == "integer" and not few and not fits(column.name, r".*(id|code)"):
        return "numeric"
    return "categorical"


def _is_of_the_request(table: TableGuess, column: Column) -> bool:
    """Whether the sampled rows of each request agree on the value."""
    roles = table.roles
    if "user" not in roles or not ("request" in roles or "time" in roles):
        return False
    key = [roles["user"].column, (roles.get("request") or roles["time"]).column]
    sample = table.profile.sample.select(list(dict.fromkeys([*key, column.name])))
    counted = pa.TableGroupBy(sample, list(dict.fromkeys(key))).aggregate(
        [(column.name, "count_distinct"), (column.name, "count")]
    )
    several = counted.filter(pc.greater(counted[f"{column.name}_count"], 1))
    if not several.num_rows:  # one item a request: everything is of the request
        return fits(column.name, FEATURES["context"])
    return pc.max(several[f"{column.name}_count_distinct"]).as_py() == 1
