"""A sample of timelines as flat columns, for the audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfmm.records.example import decode
from tfmm.records.manifest import read_manifest
from tfmm.records.spec import RequestSpec
from tfmm.records.tfrecord import read_records
from tfmm.records.timeline import KIND, TEXT, columns

# No request looks further back for its own clicks.
RECENT = 50
NEVER = -1


@dataclass(frozen=True)
class Sample:
    """R requests with M shown items in all.

    Attributes:
        user: int64 `[R]` keyed hash of the user.
        time: int64 `[R]` microseconds.
        late: int64 `[R]` events of the history that are not earlier than the request.
        request: int64 `[M]` the request of each shown item.
        item: int64 `[M]` catalog rows.
        age: int64 `[M]` microseconds since the newest event of this very item among
            the history's last 50; -1 without one.
        place: int64 `[M]` that event's place, 0 the newest of all; -1 without one.
        labels: label -> float `[M]`.
        features: tensor -> `[M]`, numbers or text as bytes.
    """

    user: NDArray[np.int64]
    time: NDArray[np.int64]
    late: NDArray[np.int64]
    request: NDArray[np.int64]
    item: NDArray[np.int64]
    age: NDArray[np.int64]
    place: NDArray[np.int64]
    labels: Mapping[str, NDArray[np.float64]]
    features: Mapping[str, NDArray[Any]]


def sample_timelines(folder: str | Path, spec: RequestSpec, most: int) -> Sample:
    """Reads the first timelines of every file; users are spread over files by hash.

    Args:
        folder: A folder of timelines, such as `timelines/train`.
        spec: Names and sizes of a request.
        most: About how many requests to read.

    Raises:
        TfmmError: The folder is unfinished or damaged.
    """
    manifest = read_manifest(folder, kind=KIND)
    files = sorted(x for x in manifest["files"] if x.endswith(".tfrecord"))
    counts = manifest["counts"]
    share = min(1.0, most / max(1, counts["requests"]))
    each = int(np.ceil(share * counts["timelines"] / max(1, len(files))))
    wanted = columns(spec)
    parts = [
        _columns_of(decode(record), wanted)
        for name in files
        for record in _first(Path(folder) / name, counts["timelines"], each, share)
    ]
    return _joined(parts, spec)


def _first(path: Path, all_of_them: int, each: int, share: float) -> Iterator[bytes]:
    left = all_of_them if share == 1.0 else each
    for record in read_records(path):
        if left == 0:
            return
        left -= 1
        yield record


def _columns_of(record: Mapping[str, list[Any]], wanted: Any) -> dict[str, Any]:
    """One timeline's requests and shown items."""
    time = np.array(record["request_time"], np.int64)
    shown = np.array(record["request_items"], np.int64)
    events = np.array(record["event_item"], np.int64)
    moments = np.array(record["event_time"], np.int64)
    first = np.r_[0, np.cumsum(shown)]
    item = np.array(record["item"], np.int64)
    late = np.zeros(len(time), np.int64)
    age, place = np.full((2, len(item)), NEVER, np.int64)
    spans = zip(record["request_start"], record["request_cut"], strict=True)
    for number, (start, cut) in enumerate(spans):
        late[number] = (moments[start:cut] >= time[number]).sum()
        newest = slice(max(start, cut - RECENT), cut)
        own = slice(first[number], first[number + 1])
        found = item[own, None] == events[newest][::-1]
        known = found.any(axis=1)
        back = found.argmax(axis=1) if cut > newest.start else np.zeros(len(known), int)
        place[own] = np.where(known, back, NEVER)
        when = moments[np.maximum(cut - 1 - back, 0)] if len(moments) else time[:1]
        age[own] = np.where(known, time[number] - when, NEVER)
    features = {
        column.name: _per_item(record[column.name], column, shown)
        for column in wanted
        if column.name.startswith(("user_", "context_", "candidate_"))
        or column.name in ("position", "base_score")
    }
    labels = {
        column.name.removeprefix("label_"): np.array(record[column.name], np.float64)
        for column in wanted
        if column.name.startswith("label_")
    }
    user = np.full(len(time), record["user"][0], np.int64)
    return {
        "user": user,
        "time": time,
        "late": late,
        "shown": shown,
        "item": item,
        "age": age,
        "place": place,
        "labels": labels,
        "features": features,
    }


def _per_item(values: list[Any], column: Any, shown: NDArray[np.int64]) -> Any:
    kind = object if column.type == TEXT else np.float64
    found = np.array(values, kind)
    if column.per == "item":
        return found
    return np.repeat(found, shown if column.per == "request" else shown.sum())


def _joined(parts: list[dict[str, Any]], spec: RequestSpec) -> Sample:
    def all_of(name: str) -> Any:
        return np.concatenate([np.zeros(0, np.int64), *(p[name] for p in parts)])

    def by_name(name: str) -> dict[str, Any]:
        names = parts[0][name] if parts else ()
        return {key: np.concatenate([p[name][key] for p in parts]) for key in names}

    shown = all_of("shown")
    return Sample(
        user=all_of("user"),
        time=all_of("time"),
        late=all_of("late"),
        request=np.repeat(np.arange(len(shown)), shown),
        item=all_of("item"),
        age=all_of("age"),
        place=all_of("place"),
        labels=by_name("labels"),
        features=by_name("features"),
    )
