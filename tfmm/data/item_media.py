"""Item records as a table of encoded media, found by catalog row."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.records.groups import IDENTITY, record_groups
from tfmm.records.index import FIRST_ROW, ItemIndex
from tfmm.records.manifest import read_manifest

# Where an item record keeps each modality's bytes: the item's own, and further ones.
MEDIA = {"image": "image", "text": "title"}
MORE = {"image": "more_images", "text": "more_titles"}
_IDENTITY = ("item_id", *IDENTITY)
_READ_BATCH = 4096


class ItemMedia:
    """Items' encoded media and groups in memory, found by catalog row.

    Args:
        folder: Item records, with their manifest.
        modalities: Which of `"image"` and `"text"` to keep.

    Raises:
        TfmmError: If the folder is not a finished output or a record is damaged.
    """

    def __init__(self, folder: str | Path, modalities: list[str]) -> None:
        found: dict[str, list[Any]] = {name: [] for name in ("row", *_IDENTITY)}
        choices: dict[str, list[tf.RaggedTensor]] = {name: [] for name in modalities}
        owned: dict[str, list[tf.Tensor]] = {name: [] for name in modalities}
        for record in _records(folder, modalities):
            for name in found:
                found[name] += record[name].numpy().tolist()
            for name in modalities:
                owned[name].append(tf.strings.length(record[MEDIA[name]]) > 0)
                choices[name].append(_choices(record, name))
        rows = np.array(found["row"], np.int64)
        self._rows, self._ids = rows, found["item_id"]
        manifest = read_manifest(folder, "items")
        self._group = tf.constant(record_groups(rows, found, manifest))
        # Place 0 is empty: for rows without a record.
        place = np.zeros(int(rows.max(initial=0)) + 1, np.int64)
        place[rows] = np.arange(1, len(rows) + 1)
        self._place = tf.constant(place)
        self._media = {
            name: _Choices(owned[name], choices[name]) for name in modalities
        }

    def of(self, modality: str, rows: tf.Tensor) -> tf.Tensor:
        """string `[B]`, the items' own media; empty where there is none."""
        return self._media[modality].first(self._places(rows))

    def drawn(self, modality: str, rows: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """string `[B]`, any of each item's media, evenly; empty where there is none."""
        return self._media[modality].any(self._places(rows), seed)

    def groups(self, rows: tf.Tensor) -> tf.Tensor:
        """int32 `[B]`, the groups of rows; a row without a record is its own."""
        known = rows < tf.size(self._group, out_type=rows.dtype)
        group = tf.gather(self._group, tf.where(known, rows, 0))
        return tf.where(known, group, tf.cast(rows, tf.int32))

    def index(self) -> ItemIndex:
        """Which row has which id, as far as the records tell."""
        # No id has control characters, so these names are nobody's.
        ids = [f"\0{row}" for row in range(FIRST_ROW, self._place.shape[0])]
        for row, name in zip(self._rows.tolist(), self._ids, strict=True):
            ids[row - FIRST_ROW] = name.decode()
        return ItemIndex(ids)

    def _places(self, rows: tf.Tensor) -> tf.Tensor:
        known = (rows >= 0) & (rows < tf.size(self._place, out_type=rows.dtype))
        return tf.gather(self._place, tf.where(known, rows, 0))


class _Choices:
    """Per place the media to choose from; the first of them may be the item's own."""

    def __init__(self, owned: list[tf.Tensor], choices: list[tf.RaggedTensor]) -> None:
        lengths = tf.concat(
            [tf.zeros([1], tf.int64), *(some.row_lengths() for some in choices)], 0
        )
        self._length, self._start = lengths, tf.cumsum(lengths, exclusive=True)
        self._owned = tf.concat([[False], *owned], 0)
        self._values = tf.concat([*(some.values for some in choices), [""]], 0)
        self._none = tf.size(self._values, out_type=tf.int64) - 1

    def first(self, places: tf.Tensor) -> tf.Tensor:
        start = tf.gather(self._start, places)
        owned = tf.gather(self._owned, places)
        return tf.gather(self._values, tf.where(owned, start, self._none))

    def any(self, places: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        start, length = tf.gather(self._start, places), tf.gather(self._length, places)
        chosen = start + pick(length, seed)
        return tf.gather(self._values, tf.where(length > 0, chosen, self._none))


def pick(counts: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A number below each count, int64 `[B]`, evenly; 0 where the count is 0."""
    uniform = tf.random.stateless_uniform(tf.shape(counts), seed)
    picked = tf.cast(uniform * tf.cast(counts, tf.float32), tf.int64)
    return tf.minimum(picked, tf.maximum(counts - 1, 0))


def record_files(folder: str | Path, kind: str) -> list[str]:
    """The TFRecord files of a finished folder of that kind, in name order."""
    manifest = read_manifest(folder, kind)
    names = sorted(name for name in manifest["files"] if name.endswith(".tfrecord"))
    return [str(Path(folder) / name) for name in names]


def parsed_items(
    folder: str | Path, features: dict[str, Any], batch_size: int
) -> tf.data.Dataset:
    """Batches of item records: `row` and the features asked for."""
    wanted = {"row": tf.io.FixedLenFeature([], tf.int64)} | features
    records = tf.data.TFRecordDataset(record_files(folder, "items")).batch(batch_size)
    return records.map(lambda batch: tf.io.parse_example(batch, wanted))


def text_feature() -> Any:
    """How bytes are read that a record may lack."""
    return tf.io.FixedLenFeature([], tf.string, "")


def _choices(record: dict[str, Any], modality: str) -> tf.RaggedTensor:
    """The item's own medium, if there is one, and the further ones after it."""
    own, more = record[MEDIA[modality]], record[MORE[modality]]
    given = tf.strings.length(own) > 0
    first = tf.RaggedTensor.from_row_lengths(own[given], tf.cast(given, tf.int64))
    return tf.concat([first, more], axis=1)


def _records(folder: str | Path, modalities: list[str]) -> Iterator[dict[str, Any]]:
    features = {name: text_feature() for name in _IDENTITY}
    for name in modalities:
        features[MEDIA[name]] = text_feature()
        features[MORE[name]] = tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64)
    try:
        yield from parsed_items(folder, features, _READ_BATCH)
    except tf.errors.OpError as error:
        raise TfmmError(
            f"`{folder}` holds no readable item records. Received: {error.message}. "
            "Run `item_media` again."
        ) from error
