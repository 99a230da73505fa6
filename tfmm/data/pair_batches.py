"""Pair records as batches for SCL."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfmm.data.item_batches import (
    ItemMedia,
    check_encoders,
    preprocess_parts,
    record_files,
)
from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest

Batch = dict[str, tf.Tensor]
Augment = Callable[..., tf.Tensor]


def pairs(
    folder: str | Path,
    items_folder: str | Path,
    image: Any = None,
    text: Any = None,
    batch_size: int = 256,
    shuffle: bool = True,
    seed: int = 0,
    start_epoch: int = 0,
    drop_remainder: bool = False,
    window: int = 16_384,
    augment: Augment | None = None,
) -> tf.data.Dataset:
    """Search pairs joined with the media of their items, preprocessed for the towers.

    Each iteration of the data set is an epoch with an order of its own, a function
    of `seed` and the epoch's number alone: files are shuffled, then records within
    windows. One of a pair's clicked-not-bought items is drawn per epoch.

    Args:
        folder: Pair records, with their manifest.
        items_folder: Item records; their encoded media are held in memory.
        image: An image encoder, or `None` to leave pictures out.
        text: A text encoder, or `None` to leave titles out.
        batch_size: Pairs per batch.
        shuffle: False keeps the records' order and the draw of the first epoch.
        seed: Of order, draw and augmentation.
        start_epoch: The number of the first epoch, to resume.
        drop_remainder: Whether to leave the last, smaller batch out.
        window: How many records are shuffled together.
        augment: From pictures uint8 `[n, S, S, 3]` and `seed=` int64 `[2]` to
            pictures, e.g. `tfmm.pretrain.augment_pictures`.

    Returns:
        A data set of dicts: `item` and `negative` int32 `[B]` (catalog rows; 0 where
        there is no negative) and, for each modality and each of query, item and
        negative, `<part>_<modality>`, the tower's input, and
        `has_<part>_<modality>` bool `[B]`.

    Raises:
        TfmmError: If there is no encoder, no pair, a folder is not a finished output,
            or the two folders are of different item indexes.
    """
    encoders = check_encoders(image, text)
    if batch_size < 1 or window < 1:
        raise TfmmError(
            "`batch_size` and `window` must be positive. Received: "
            f"batch_size={batch_size}, window={window}."
        )
    _check_lineage(folder, items_folder)
    files, count = _open(folder)
    media = ItemMedia(items_folder, list(encoders))
    order = _Order(files, window, seed) if shuffle else None

    def batch(number: tf.Tensor, epoch: tf.Tensor, records: tf.Tensor) -> Batch:
        draw = _seed(seed, epoch, number, purpose=0)
        parsed = tf.io.parse_example(records, _features())
        negative = _draw(parsed["negatives"], draw)
        result = {
            "item": tf.cast(parsed["item"], tf.int32),
            "negative": tf.cast(negative, tf.int32),
        }
        for name, encoder in encoders.items():
            parts = {
                "query": parsed[f"query_{name}"],
                "item": media.of(name, parsed["item"]),
                "negative": media.of(name, negative),
            }
            adjust = (
                partial(augment, seed=draw) if augment and name == "image" else None
            )
            result |= preprocess_parts(name, encoder, parts, adjust)
        return result

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        records = order(epoch) if order else tf.data.TFRecordDataset(files)
        batches = records.batch(batch_size, drop_remainder=drop_remainder)
        return batches.enumerate().map(lambda number, some: (number, epoch, some))

    batches = _epochs(start_epoch, advance=shuffle).flat_map(epoch_batches)
    dataset = batches.map(batch, tf.data.AUTOTUNE, deterministic=True)
    length = count // batch_size if drop_remainder else -(-count // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    dataset.num_pairs = count
    return dataset


class _Order:
    """The records of an epoch in an order that (seed, epoch) alone decides.

    `Dataset.shuffle` would also depend on TensorFlow's global seed.
    """

    def __init__(self, files: list[str], window: int, seed: int) -> None:
        self.files, self.window, self.seed = tf.constant(files), window, seed

    def __call__(self, epoch: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.random.experimental.stateless_shuffle
        files = shuffled(self.files, _seed(self.seed, epoch, 0, purpose=1))
        dataset = tf.data.Dataset.from_tensor_slices(files)
        records = dataset.interleave(tf.data.TFRecordDataset, cycle_length=4)
        windows = records.batch(self.window).enumerate()
        mixed = windows.map(
            lambda n, some: shuffled(some, _seed(self.seed, epoch, n, purpose=2))
        )
        return mixed.unbatch()


def _seed(seed: int, epoch: tf.Tensor, number: Any, purpose: int) -> tf.Tensor:
    """int64 `[2]`: another one for each purpose, and place in an epoch."""
    number = tf.cast(number, tf.int64)
    return tf.stack([tf.constant(4 * seed + purpose, tf.int64), epoch * 2**32 + number])


def _epochs(start: int, advance: bool) -> tf.data.Dataset:
    """The number of the epoch: one more each time the data set is iterated."""
    if not advance:
        return tf.data.Dataset.from_tensors(tf.constant(start, tf.int64))
    counter = tf.Variable(start, dtype=tf.int64, trainable=False)
    return tf.data.Dataset.range(1).map(lambda _: counter.assign_add(1) - 1)


def _draw(negatives: tf.RaggedTensor, seed: tf.Tensor) -> tf.Tensor:
    """One of each row's negatives, 0 where there is none."""
    count = negatives.row_lengths()
    uniform = tf.random.stateless_uniform(tf.shape(count), seed)
    pick = tf.cast(uniform * tf.cast(count, tf.float32), tf.int64)
    pick = negatives.row_starts() + tf.minimum(pick, tf.maximum(count - 1, 0))
    values = tf.concat([negatives.values, [0]], axis=0)
    return tf.where(count > 0, tf.gather(values, tf.where(count > 0, pick, 0)), 0)


def _features() -> dict[str, Any]:
    return {
        "query_text": tf.io.FixedLenFeature([], tf.string, ""),
        "query_image": tf.io.FixedLenFeature([], tf.string, ""),
        "item": tf.io.FixedLenFeature([], tf.int64),
        "negatives": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
    }


def _open(folder: str | Path) -> tuple[list[str], int]:
    files = record_files(folder, "pairs")
    count = read_manifest(folder)["counts"].get("written", 0)
    if not files or not count:
        raise TfmmError(
            f"`{folder}` holds no pairs. Received: {len(files)} record files, {count} "
            "pairs written. Check the drops in its manifest and the split's date."
        )
    return files, count


def _check_lineage(folder: str | Path, items_folder: str | Path) -> None:
    """Rows of pairs and items must come from one item index."""
    stamps = [read_manifest(path).get("index") or {} for path in (folder, items_folder)]
    ours, theirs = (stamp.get("lineage") for stamp in stamps)
    if ours and theirs and ours != theirs:
        raise TfmmError(
            f"`{folder}` and `{items_folder}` are of different item indexes. Received: "
            f"lineages {ours} and {theirs}. Write both with the same index."
        )
