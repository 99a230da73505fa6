"""Batches of requests from timeline records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest
from tfmm.records.spec import FIRST_CODE, MISSING_CODE, UNKNOWN_CODE, RequestSpec
from tfmm.records.timeline import KIND, TEXT, Column, columns
from tfmm.records.vocabularies import USER, Vocabularies

TIMELINES_PER_CHUNK = 256
SHUFFLED_CHUNKS = 4
_TYPES = {"int64": tf.int64, "float32": tf.float32, TEXT: tf.string}


def requests(
    folder: str | Path,
    vocabularies: Vocabularies,
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
) -> tf.data.Dataset:
    """Requests as the flat named tensors that models train on and servers take.

    With B requests, L the longest history and N the most candidates among them, a
    batch holds

    * `user` int32 `[B]` (code), `user_key` int64 `[B]`, `time` int64 `[B]`
      (microseconds), `user_<f>` and `context_<f>` int32 or float32 `[B]`
    * `history_item`, `history_type` int32 `[B, L]`, oldest first, and `n_history`
      int32 `[B]`
    * `item` int32 `[B, N]` (catalog rows), `candidate_<f>`, `label_<name>` float32
      `[B, N]`, `position` int32 and `base_score` float32 `[B, N]` where the log has
      them, and `n_items` int32 `[B]`

    The counts are the only mask; what lies beyond them is 0.

    Args:
        folder: A folder of timelines, such as `timelines/train`.
        vocabularies: They turn raw values into codes.
        batch_size: Requests of a batch; the last may be smaller.
        shuffle: Whether to shuffle, anew in every epoch.
        seed: Seed of the shuffle; the order is a function of it and the epoch.

    Raises:
        TfmmError: If the folder is unfinished, has no requests or belongs to other
            vocabularies.
    """
    folder = Path(folder)
    manifest = read_manifest(folder, kind=KIND)
    spec = vocabularies.spec
    _check(manifest, vocabularies, folder)
    files = sorted(str(folder / name) for name in manifest["files"])
    dataset = tf.data.Dataset.from_tensor_slices(files)
    if shuffle:
        dataset = dataset.shuffle(len(files), seed=seed)
    dataset = dataset.interleave(tf.data.TFRecordDataset, cycle_length=len(files))
    if shuffle:
        dataset = dataset.shuffle(SHUFFLED_CHUNKS * TIMELINES_PER_CHUNK, seed=seed + 1)
    dataset = dataset.batch(TIMELINES_PER_CHUNK)
    lookups = _lookups(vocabularies)
    dataset = dataset.map(
        lambda records: _cut(_parse(records, spec), spec, lookups),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    if shuffle:
        counter = tf.data.Dataset.random(seed=seed + 2, rerandomize_each_iteration=True)
        dataset = tf.data.Dataset.zip(dataset, counter).map(_permute)
    dataset = dataset.rebatch(batch_size).map(trimmed)
    known = manifest["counts"]["requests"]
    batches = -(-known // batch_size)
    return dataset.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(2)


def trimmed(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The batch without columns that are padding in every row.

    One request of 87 candidates among thousands of single ones would otherwise make
    every step 68 times dearer; no score depends on padding.

    Args:
        batch: A batch of `tfmm.data.requests`.

    Example:
        >>> batch = {"n_items": [1, 2], "n_history": [0, 0], "user": [5, 6],
        ...          "item": [[2, 0, 0], [3, 4, 0]], "history_item": [[0], [0]]}
        >>> small = trimmed({name: tf.constant(x) for name, x in batch.items()})
        >>> small["item"].numpy().tolist(), small["history_item"].shape[1]
        ([[2, 0], [3, 4]], 1)
    """
    shown = tf.maximum(tf.reduce_max(batch["n_items"]), 1)
    past = tf.maximum(tf.reduce_max(batch["n_history"]), 1)
    return {
        name: tensor
        if tensor.shape.rank < 2
        else tensor[:, : past if name.startswith("history_") else shown]
        for name, tensor in batch.items()
    }


def _check(
    manifest: Mapping[str, Any], vocabularies: Vocabularies, folder: Path
) -> None:
    for what, received, expected in (
        ("request spec", manifest["spec"], vocabularies.spec.to_dict()),
        ("item index", manifest["index"], dict(vocabularies.index_stamp)),
    ):
        if received != expected:
            raise TfmmError(
                f"`{folder}` was written for other vocabularies. Expected: the {what} "
                "of the vocabularies given. Received: another. Run the behaviours job "
                "again."
            )
    if not manifest["counts"]["requests"]:
        raise TfmmError(
            f"`{folder}` has no requests. Expected: at least one. Received: 0. Check "
            "the schema's split against the times of the impressions."
        )


def _lookups(vocabularies: Vocabularies) -> dict[str, tf.lookup.StaticHashTable]:
    return {name: _lookup(values) for name, values in vocabularies.values.items()}


def _lookup(values: Any) -> tf.lookup.StaticHashTable:
    # The missing value is a key too: TensorFlow refuses a table of none.
    keys = tf.constant(["", *values], tf.string)
    known = tf.range(FIRST_CODE, FIRST_CODE + len(values), dtype=tf.int64)
    codes = tf.concat([tf.constant([MISSING_CODE], tf.int64), known], 0)
    table = tf.lookup.KeyValueTensorInitializer(keys, codes)
    return tf.lookup.StaticHashTable(table, default_value=UNKNOWN_CODE)


def _codes(table: tf.lookup.StaticHashTable, values: tf.Tensor) -> tf.Tensor:
    return tf.cast(table.lookup(values), tf.int32)


def _parse(records: tf.Tensor, spec: RequestSpec) -> dict[str, Any]:
    features = {
        column.name: tf.io.FixedLenFeature([], _TYPES[column.type])
        if column.per == "user"
        else tf.io.RaggedFeature(_TYPES[column.type], row_splits_dtype=tf.int64)
        for column in columns(spec)
    }
    return tf.io.parse_example(records, features)


def _cut(
    record: dict[str, Any],
    spec: RequestSpec,
    lookups: Mapping[str, tf.lookup.StaticHashTable],
) -> dict[str, tf.Tensor]:
    """A chunk of timelines as all its requests, padded."""
    per_request = record["request_time"]
    owner = per_request.value_rowids()
    n_items = record["request_items"].values
    starts = record["event_item"].row_starts()
    first = tf.gather(starts, owner) + record["request_start"].values
    last = tf.gather(starts, owner) + record["request_cut"].values
    history = tf.ragged.range(first, last)
    batch: dict[str, tf.Tensor] = {
        "user": _codes(lookups[USER], tf.as_string(tf.gather(record["user"], owner))),
        "user_key": tf.gather(record["user"], owner),
        "time": per_request.values,
        "n_history": tf.cast(last - first, tf.int32),
        "n_items": tf.cast(n_items, tf.int32),
    }
    for name in ("item", "type"):
        events = tf.gather(record[f"event_{name}"].values, history.values)
        ragged = history.with_values(tf.cast(events, tf.int32))
        batch[f"history_{name}"] = _padded(ragged, spec.max_history)
    for column in columns(spec):
        if column.per == "user" and column.name != "user":
            raw = tf.gather(record[column.name], owner)
            batch[column.name] = _coded(raw, column, lookups)
        elif column.name.startswith("context_"):
            batch[column.name] = _coded(record[column.name].values, column, lookups)
        elif column.per == "item":
            values = _coded(record[column.name].values, column, lookups)
            ragged = tf.RaggedTensor.from_row_lengths(values, n_items)
            batch[column.name] = _padded(ragged, spec.max_items)
    return batch


def _coded(
    values: tf.Tensor,
    column: Column,
    lookups: Mapping[str, tf.lookup.StaticHashTable],
) -> tf.Tensor:
    if column.type == TEXT:
        return _codes(lookups[column.name], values)
    return tf.cast(values, tf.int32) if values.dtype == tf.int64 else values


def _padded(ragged: tf.RaggedTensor, width: int) -> tf.Tensor:
    dense = ragged.to_tensor(shape=[None, width])
    return tf.ensure_shape(dense, [None, width])


def _permute(batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    size = tf.shape(batch["user"])[0]
    order = tf.argsort(
        tf.random.stateless_uniform([size], tf.stack([seed, seed])), stable=True
    )
    return {name: tf.gather(tensor, order) for name, tensor in batch.items()}
