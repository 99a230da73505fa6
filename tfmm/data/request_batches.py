"""Batches of requests from timeline records."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfmm.data.epochs import Epochs
from tfmm.data.request_order import RequestOrder, pool_size
from tfmm.data.timeline_pools import PoolReader
from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest
from tfmm.records.timeline import KIND
from tfmm.records.vocabularies import Vocabularies


def requests(
    folder: str | Path,
    vocabularies: Vocabularies,
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    bucket: bool | None = None,
    few_shapes: bool = False,
    start_epoch: int = 0,
    start_step: int = 0,
) -> tf.data.Dataset:
    """Requests as the flat named tensors that models train on and servers take.

    With B requests, L the longest history and N the most candidates among them, a
    batch holds

    * `user` int32 `[B]` (code), `user_key` int64 `[B]`, `time` int64 `[B]`
      (microseconds), `user_<f>` and `context_<f>` int32 or float32 `[B]`
    * `history_item`, `history_type` int32 `[B, L]`, oldest first, and `n_history`
      int32 `[B]`
    * `item` int32 `[B, N]` (catalog rows), `candidate_<f>`, `label_<name>` float32
      `[B, N]`, `position` int32, `base_score` and `weight` float32 `[B, N]` where the
      log has them, and `n_items` int32 `[B]`

    The counts are the only mask; what lies beyond them is 0.

    Each iteration of a shuffled data set is an epoch with an order of its own, a
    function of `seed` and the epoch's number alone. Timelines are read in pools of at
    most 32 MiB of records; a pool's requests are shuffled, those of a batch are padded
    to the longest among them, and no request is padded before.

    Args:
        folder: A folder of timelines, such as `timelines/train`.
        vocabularies: They turn raw values into codes.
        batch_size: Requests of a batch; the last may be smaller.
        shuffle: Whether to shuffle, anew in every epoch.
        seed: Seed of the shuffle.
        bucket: Whether a batch's requests have histories of similar length, which
            spares padding. Defaults to `shuffle`.
        few_shapes: Whether L and N are rounded up to powers of two (at most the
            spec's), for what compiles anew for every shape: JAX and XLA.
        start_epoch: The number of the first epoch, to resume.
        start_step: The first batch of that epoch; later epochs are whole.

    Returns:
        A data set with `at(epoch, step)`: the same batches from there. Its length is
        known where it starts with a whole epoch.

    Raises:
        TfmmError: If the folder is unfinished, has no requests or belongs to other
            vocabularies, or a number is out of range.
        tf.errors.InvalidArgumentError: When it is iterated, if a record holds catalog
            rows beyond the index, NaN, or more than the spec's maxima; it names the
            file.
    """
    _check_numbers(batch_size, start_epoch, start_step)
    folder = Path(folder)
    manifest = read_manifest(folder, kind=KIND)
    _check(manifest, vocabularies, folder)
    files = {k: v for k, v in manifest["files"].items() if k.endswith(".tfrecord")}
    size = sum(fact["bytes"] for fact in files.values())
    bucket = shuffle if bucket is None else bucket
    order = RequestOrder(
        files=sorted(str(folder / name) for name in files),
        read=PoolReader(vocabularies),
        pool_size=pool_size(manifest["counts"], size, batch_size),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        bucket=bucket,
        spec=vocabularies.spec if few_shapes else None,
    )
    known = manifest["counts"]["requests"]
    facts = {
        "requests": known,
        "files": _digest(files),
        "batch_size": batch_size,
        "shuffle": shuffle,
        "seed": seed,
        "bucket": bucket,
        "few_shapes": few_shapes,
    }
    return Epochs(
        order.rest, -(-known // batch_size), shuffle, _batches_of(order), facts=facts
    ).at(start_epoch, start_step)


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


def _batches_of(order: RequestOrder) -> Any:
    def finish(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.map(order.batch, tf.data.AUTOTUNE, deterministic=True)

    return finish


def _digest(files: Mapping[str, Any]) -> str:
    facts = sorted((name, fact["sha256"]) for name, fact in files.items())
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _check_numbers(batch_size: int, epoch: int, step: int) -> None:
    if batch_size < 1 or epoch < 0 or step < 0:
        raise TfmmError(
            "`batch_size` must be positive, and an epoch and a step count from 0. "
            f"Received: batch_size={batch_size}, start_epoch={epoch}, "
            f"start_step={step}."
        )


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
