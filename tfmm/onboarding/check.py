"""The data check: what a schema's tables hold, and what is odd about them."""

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tfmm.errors import TfmmError
from tfmm.onboarding import log
from tfmm.onboarding.log_facts import LogFacts, log_facts
from tfmm.schema import Schema

_PATHS_TRIED = 200


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """What the tables hold.

    Args:
        name: Name of the data set.
        rows: Rows read, by table.
        dead_letters: Rows left out, by table, then by column and reason.
        users: Distinct users of the impressions.
        items: Distinct items of the impressions.
        label_rate: Mean of each label.
        log: Facts about requests, histories and splits.
        in_items: Share of impressions whose item is in the items table.
        in_users: Share of users that are in the users table.
        with_title, with_image: Share of items with a value there.
        repeated_items: Rows of the items table whose id came before.
        missing_files: Share of tried picture paths without a file.
        max_items: Most candidates that the schema allows.
        warnings: What is odd, each with advice; set by `check`.
    """

    name: str
    rows: Mapping[str, int]
    dead_letters: Mapping[str, Mapping[str, int]]
    users: int
    items: int
    label_rate: Mapping[str, float]
    log: LogFacts
    in_items: float | None = None
    in_users: float | None = None
    with_title: float | None = None
    with_image: float | None = None
    repeated_items: int = 0
    missing_files: float | None = None
    max_items: int = 0
    warnings: tuple[str, ...] = ()

    def render(self) -> Any:
        """The report for a terminal: a `rich` renderable."""
        from tfmm.onboarding.check_render import render

        return render(self)


def check(schema: Schema) -> CheckReport:
    """Reads all tables once, in chunks, and reports what they hold.

    The log's ids, times and labels are held as numbers, about 50 bytes a row; media
    and texts pass by.

    Args:
        schema: The schema.

    Raises:
        TfmmError: If a file or column is missing, or no impression can be read.
    """
    from tfmm.onboarding.warnings import warnings

    dead = log.Dead()
    impressions = log.log_table(schema, "impressions", dead)
    if impressions is None:
        raise TfmmError(
            "No impression can be read. Expected: rows with user, item, time and "
            f"label. Received: {dict(dead.of('impressions'))} left out. "
            "Correct the schema or the file."
        )
    events = log.log_table(schema, "events", dead) if schema.events else None
    shown = impressions["item"].to_numpy()
    labels = schema.impressions.labels
    items = _items(schema, dead) if schema.items else {}
    known = items.pop("known", None)
    users = np.unique(impressions["user"].to_numpy())
    listed = _ids(schema, "users", "id", dead) if schema.users else None
    rows = {"impressions": impressions.num_rows}
    rows |= {"events": events.num_rows} if events is not None else {}
    rows |= {"items": items.pop("rows")} if schema.items else {}
    rows |= {"users": len(listed)} if listed is not None else {}
    if schema.searches:
        role = "bought" if schema.searches.bought else "user"
        rows["searches"] = len(_ids(schema, "searches", role, dead))
    rows = {table: n + dead.of(table).total() for table, n in rows.items()}
    report = CheckReport(
        name=schema.name,
        rows=rows,
        dead_letters={t: dict(c) for t, c in dead.by_table.items() if c},
        users=len(users),
        items=len(np.unique(shown)),
        label_rate={
            name: float(np.mean(impressions[f"label:{name}"].to_numpy()))
            for name in labels
        },
        log=log_facts(impressions, events, schema),
        in_items=None if known is None else float(np.isin(shown, known).mean()),
        in_users=None if listed is None else float(np.isin(users, listed).mean()),
        max_items=schema.requests.max_items,
        **items,
    )
    now = datetime.datetime.now(datetime.UTC)
    return dataclasses.replace(report, warnings=warnings(report, now))


def _ids(schema: Schema, table: str, role: str, dead: log.Dead) -> np.ndarray:
    chunks = log.stream(schema, table, dead, [role])
    parts = [log.numbers_of(chunk[role]) for chunk in chunks]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _items(schema: Schema, dead: log.Dead) -> dict[str, Any]:
    assert schema.items is not None
    roles = [r for r in ("id", "title", "image") if r in schema.items.columns()]
    ids: list[np.ndarray] = []
    filled: dict[str, list[tuple[int, int]]] = {"title": [], "image": []}
    missing = None
    for chunk in log.stream(schema, "items", dead, roles):
        ids.append(log.numbers_of(chunk["id"]))
        for role in roles[1:]:
            present = log.has_value(chunk[role])
            filled[role].append((int(present.sum()), len(present)))
        if missing is None and "image" in roles:
            missing = _missing_files(chunk["image"], schema)
    every = np.concatenate(ids) if ids else np.zeros(0, np.int64)
    known = np.unique(every)
    return {
        "known": known,
        "rows": len(every),
        "repeated_items": len(every) - len(known),
        "with_title": log.share(iter(filled["title"])),
        "with_image": log.share(iter(filled["image"])),
        "missing_files": missing,
    }


def _missing_files(images: pa.ChunkedArray, schema: Schema) -> float | None:
    """Share of the first local paths that lead to no file."""
    if not pa.types.is_string(images.type):
        return None
    assert schema.items is not None
    if "://" in (schema.items.image_root or ""):
        return None
    root = schema.folder / (schema.items.image_root or "")
    paths = [
        Path(path)
        for path in images.drop_null()[:_PATHS_TRIED].to_pylist()
        if path and "://" not in path
    ]
    if not paths:
        return None
    return sum(not (root / path).is_file() for path in paths) / len(paths)
