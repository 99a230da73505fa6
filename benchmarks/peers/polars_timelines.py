"""The timelines of the benchmark's log by hand: polars and numpy, one process, no Beam.

It reads the whole log at once, sorts it in polars, cuts histories and groups records in
numpy, and writes the same files as `beam_jobs.behaviours`. The last step, from columns
to TFRecord bytes, is `framed_examples` on both sides: it is the format, not the way.
It knows the log: no bad row, no missing value, no user with more than L clicks.
"""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.beam_jobs_data import KEY, MAX_HISTORY, SPLIT_FROM
from tfmm.records.example_batch import framed_examples
from tfmm.records.ragged import Ragged

CLICK, FIRST_ROW, SECOND = 2, 2, 1_000_000
PARTS = ("train", "validation", "test")


def build(folder: Path, out: Path, shards: int) -> None:
    """Writes one file for every part and shard below `out`."""
    log = read(folder, shards)
    shard, key, time, item = (
        log[name].to_numpy() for name in ("shard", "key", "time", "row")
    )
    click = log["click"].to_numpy()
    # A user's number and a moment as one integer, in the order of the rows.
    user = np.cumsum(changes(key)) - 1
    moment = user * (time.max() + 1) + time
    clicked = np.flatnonzero(click)
    event = clicked[changes(moment[clicked], item[clicked])]
    first = np.flatnonzero(changes(moment))
    cut = np.searchsorted(moment[event], moment[first])
    oldest = np.searchsorted(user[event], user[first])
    start = np.maximum(oldest, cut - MAX_HISTORY)
    shown = np.diff(first, append=len(log))
    part = np.digitize(time[first], SPLIT_FROM)
    for code, name in enumerate(PARTS):
        (out / name).mkdir(parents=True)
        for number in range(shards):
            own = np.flatnonzero((part == code) & (shard[first] == number))
            new = np.flatnonzero(changes(user[first[own]]))
            low = np.minimum.reduceat(start[own], new)
            length = np.maximum.reduceat(cut[own], new) - low
            known = event[spans(low, length)]
            before = low.repeat(np.diff(new, append=len(own)))
            listed = spans(first[own], shown[own])
            of_user = np.arange(len(new) + 1)
            of_event = np.r_[0, np.cumsum(length)]
            of_request = np.r_[new, len(own)]
            of_item = np.r_[0, np.cumsum(shown[own])][of_request]
            features = {
                "user": Ragged(key[first[own[new]]], of_user),
                "event_item": Ragged(item[known], of_event),
                "event_type": Ragged(np.full(len(known), CLICK), of_event),
                "event_time": Ragged(time[known] * SECOND, of_event),
                "request_time": Ragged(time[first[own]] * SECOND, of_request),
                "request_start": Ragged(start[own] - before, of_request),
                "request_cut": Ragged(cut[own] - before, of_request),
                "request_items": Ragged(shown[own], of_request),
                "item": Ragged(item[listed], of_item),
                "label_click": Ragged(click[listed].astype(np.float32), of_item),
            }
            file = f"timelines-{number:05d}-of-{shards:05d}.tfrecord"
            with open(out / name / file, "wb") as opened:
                opened.writelines(framed_examples(features))


def read(folder: Path, shards: int) -> pl.DataFrame:
    """The log with hashed users and catalog rows, by shard, user, time and item."""
    log = pl.read_parquet(folder / "impressions.parquet")
    users = log.select(pl.col("user").unique())
    users = users.with_columns(key=pl.Series([hashed(user) for user in users["user"]]))
    items = pl.read_parquet(folder / "index" / "ids.parquet")
    items = items.select(item=pl.col("item_id").cast(pl.Int64)).with_row_index("row")
    return (
        log.join(users, on="user")
        .join(items, on="item")
        .select(
            (pl.col("key") % shards).alias("shard"),
            "key",
            "time",
            pl.col("row").cast(pl.Int64) + FIRST_ROW,
            "click",
        )
        .sort("shard", "key", "time", "row", "click")
    )


def hashed(user: str) -> int:
    digest = hashlib.blake2b(user.encode(), digest_size=8, key=KEY).digest()
    return int.from_bytes(digest, "little") >> 1


def changes(*columns: np.ndarray) -> np.ndarray:
    """Where a row differs from the row before."""
    new = np.ones(len(columns[0]), bool)
    new[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return new


def spans(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """`starts[i], starts[i] + 1, ...`, `sizes[i]` of them, for every i."""
    ends = np.cumsum(sizes)
    return np.arange(sizes.sum()) + np.repeat(starts - ends + sizes, sizes)
