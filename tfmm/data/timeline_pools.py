"""Many timelines as one pool of requests: flat tensors that hold every event once.

A pool is a dict of three dicts of tensors:

* `"request"` `[R]`: what a batch holds once a request, and where the request's history
  and shown items begin: `first_event`, `first_shown`
* `"event"` `[T]`: `history_item`, `history_type`
* `"shown"` `[M]`: `item`, labels, features of the shown items

The first event and the first shown item are no such: their zeros are the padding.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfmm.data.timeline_checks import check_record
from tfmm.records.hashing import with_hashes
from tfmm.records.spec import FIRST_CODE, MISSING_CODE, UNKNOWN_CODE, RequestSpec
from tfmm.records.timeline import TEXT, Column, columns
from tfmm.records.vocabularies import USER, Vocabularies

Pool = dict[str, dict[str, tf.Tensor]]
_TYPES = {"int64": tf.int64, "float32": tf.float32, TEXT: tf.string}
_UNREAD = "event_time"


class PoolReader:
    """Serialized timelines to a pool.

    Args:
        vocabularies: They turn raw values into codes.
    """

    def __init__(self, vocabularies: Vocabularies) -> None:
        self._spec: RequestSpec = vocabularies.spec
        self._columns = [c for c in columns(self._spec) if c.name != _UNREAD]
        hashed = {f.tensor: f.hash_buckets for f in self._spec.features}
        self._lookups = {
            name: _lookup(values, hashed.get(name, 0))
            for name, values in vocabularies.values.items()
        }

    def __call__(self, records: tf.Tensor, files: tf.Tensor) -> Pool:
        """A pool of all requests, in the order of the records.

        Args:
            records: string `[W]`, serialized.
            files: string `[W]`, where each is from, for messages.
        """
        features = {
            column.name: tf.io.FixedLenFeature([], _TYPES[column.type])
            if column.per == "user"
            else tf.io.RaggedFeature(_TYPES[column.type], row_splits_dtype=tf.int32)
            for column in self._columns
        }
        record = tf.io.parse_example(records, features)
        check_record(record, self._spec, self._columns, files)
        return self._pool(record)

    def _pool(self, record: Mapping[str, Any]) -> Pool:
        owner = record["request_time"].value_rowids()
        start = tf.cast(record["request_start"].values, tf.int32)
        cut = tf.cast(record["request_cut"].values, tf.int32)
        n_items = tf.cast(record["request_items"].values, tf.int32)
        users = self._lookups[USER](tf.as_string(record["user"]))
        request = {
            "user": tf.gather(tf.cast(users, tf.int32), owner),
            "user_key": tf.gather(record["user"], owner),
            "time": record["request_time"].values,
            "n_history": cut - start,
            "n_items": n_items,
            "first_event": tf.gather(record["event_item"].row_starts(), owner)
            + start
            + 1,
            "first_shown": tf.cumsum(n_items, exclusive=True) + 1,
        }
        shown = {}
        for column in self._columns:
            if column.per == "user" and column.name != "user":
                coded = self._coded(record[column.name], column)
                request[column.name] = tf.gather(coded, owner)
            elif column.name.startswith("context_"):
                request[column.name] = self._coded(record[column.name].values, column)
            elif column.per == "item":
                coded = self._coded(record[column.name].values, column)
                shown[column.name] = _after_zero(coded)
        event = {
            f"history_{name}": _after_zero(
                tf.cast(record[f"event_{name}"].values, tf.int32)
            )
            for name in ("item", "type")
        }
        return {"request": request, "event": event, "shown": shown}

    def _coded(self, values: tf.Tensor, column: Column) -> tf.Tensor:
        if column.type == TEXT:
            values = self._lookups[column.name](values)
        return tf.cast(values, tf.int32) if values.dtype == tf.int64 else values


def joined(one: Pool, other: Pool) -> Pool:
    """Both pools as one."""
    events, shown = tf.size(one["event"]["history_item"]), tf.size(one["shown"]["item"])
    request = other["request"]
    moved = request | {
        "first_event": request["first_event"] + events,
        "first_shown": request["first_shown"] + shown,
    }
    return tf.nest.map_structure(
        lambda a, b: tf.concat([a, b], 0), one, other | {"request": moved}
    )


def chosen(pool: Pool, rows: tf.Tensor) -> Pool:
    """A pool of some of the requests, with no more events than these need.

    Args:
        pool: A pool.
        rows: int32 `[r]`, places of requests.
    """
    request = {name: tf.gather(x, rows) for name, x in pool["request"].items()}
    parts = {}
    for part, first, count in (
        ("event", "first_event", "n_history"),
        ("shown", "first_shown", "n_items"),
    ):
        begin = request[first]
        places = tf.ragged.range(begin, begin + request[count]).values
        parts[part] = {
            name: _after_zero(tf.gather(x, places)) for name, x in pool[part].items()
        }
        request[first] = tf.cumsum(request[count], exclusive=True) + 1
    return {"request": request, **parts}


def padded(pool: Pool, rows: tf.Tensor, long: tf.Tensor, wide: tf.Tensor) -> Any:
    """Requests as a batch: `[B]`, `[B, L]`, `[B, N]`, with 0 beyond the counts.

    Args:
        pool: A pool.
        rows: int32 `[B]`, places of requests.
        long: L, int32 scalar, at least 1.
        wide: N, likewise.
    """
    batch = {name: tf.gather(x, rows) for name, x in pool["request"].items()}
    events, shown = batch.pop("first_event"), batch.pop("first_shown")
    for part, first, count, width in (
        ("event", events, batch["n_history"], long),
        ("shown", shown, batch["n_items"], wide),
    ):
        place = tf.range(width)
        source = tf.where(place < count[:, None], first[:, None] + place, 0)
        for name, values in pool[part].items():
            batch[name] = tf.gather(values, source)
    return batch


def _after_zero(values: tf.Tensor) -> tf.Tensor:
    return tf.concat([tf.zeros([1], values.dtype), values], 0)


def _lookup(values: Any, hash_buckets: int) -> Callable[[tf.Tensor], tf.Tensor]:
    # The missing value is a key too: TensorFlow refuses a table of none.
    keys = tf.constant(["", *values], tf.string)
    known = tf.range(FIRST_CODE, FIRST_CODE + len(values), dtype=tf.int64)
    codes = tf.concat([tf.constant([MISSING_CODE], tf.int64), known], 0)
    initial = tf.lookup.KeyValueTensorInitializer(keys, codes)
    table = tf.lookup.StaticHashTable(initial, default_value=UNKNOWN_CODE)

    def coded(texts: tf.Tensor) -> tf.Tensor:
        return with_hashes(table.lookup(texts), texts, len(values), hash_buckets)

    return coded
