"""Item records as a table of encoded media, and as batches for the towers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest

# Where an item record keeps each modality's bytes.
MEDIA = {"image": "image", "text": "title"}
_READ_BATCH = 4096


class ItemMedia:
    """Items' encoded media in memory, found by catalog row.

    Args:
        folder: Item records, with their manifest.
        modalities: Which of `"image"` and `"text"` to keep.

    Raises:
        TfmmError: If the folder is not a finished output or a record is damaged.
    """

    def __init__(self, folder: str | Path, modalities: list[str]) -> None:
        rows, parts = [], {name: [tf.constant([""])] for name in modalities}
        for record in _records(folder, modalities):
            rows.append(record["row"])
            for name in modalities:
                parts[name].append(record[MEDIA[name]])
        self.rows = tf.concat(rows, 0) if rows else tf.zeros([0], tf.int64)
        self._media = {name: tf.concat(parts[name], 0) for name in modalities}
        # Place 0 of the media is empty: for rows without a record.
        size = int(tf.reduce_max(self.rows)) + 1 if rows else 1
        places = tf.range(1, tf.size(self.rows) + 1)
        self._place = tf.tensor_scatter_nd_update(
            tf.zeros([size], tf.int32), self.rows[:, None], places
        )

    def of(self, modality: str, rows: tf.Tensor) -> tf.Tensor:
        """string `[B]`, the media of catalog rows; empty where there is none."""
        known = (rows >= 0) & (rows < tf.size(self._place, out_type=rows.dtype))
        places = tf.gather(self._place, tf.where(known, rows, 0))
        return tf.gather(self._media[modality], tf.where(known, places, 0))


def items(
    folder: str | Path,
    image: Any = None,
    text: Any = None,
    batch_size: int = 256,
) -> tf.data.Dataset:
    """All items once, preprocessed for the towers, in the records' order.

    Args:
        folder: Item records, with their manifest.
        image: An image encoder, or `None` to leave pictures out.
        text: A text encoder, or `None` to leave titles out.
        batch_size: Items per batch; the last is smaller.

    Returns:
        A data set of dicts: `row` int32 `[B]` and per modality `item_<modality>`, the
        tower's input, and `has_item_<modality>` bool `[B]`.

    Raises:
        TfmmError: If no encoder is given or the folder is not a finished output.
    """
    encoders = check_encoders(image, text)

    def batch(record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        result = {"row": tf.cast(record["row"], tf.int32)}
        for name, encoder in encoders.items():
            media = {"item": record[MEDIA[name]]}
            result.update(preprocess_parts(name, encoder, media))
        return result

    records = _parsed(folder, list(encoders), batch_size)
    return records.map(batch, tf.data.AUTOTUNE, deterministic=True).prefetch(2)


def preprocess_parts(
    modality: str, encoder: Any, parts: dict[str, tf.Tensor], adjust: Any = None
) -> dict[str, tf.Tensor]:
    """Preprocesses several strings `[B]` of one modality in one call.

    Absent (empty) media cost nothing: their rows are those of a placeholder. Media
    that the encoder cannot read are absent too.

    Args:
        modality: `"image"` or `"text"`.
        encoder: The encoder whose `.read` to use.
        parts: From a part's name, e.g. `"query"`, to its encoded media.
        adjust: What to do with the preprocessed rows, e.g. augmentation.

    Returns:
        `<part>_<modality>` and `has_<part>_<modality>` for each part.
    """
    media = tf.concat(list(parts.values()), axis=0)
    given = tf.strings.length(media) > 0
    rows, readable = encoder.read(tf.concat([[""], media[given]], axis=0))
    rows = rows if adjust is None else adjust(rows)
    place = tf.where(given, tf.cumsum(tf.cast(given, tf.int32)), 0)
    rows, present = tf.gather(rows, place), tf.gather(readable, place)
    sizes = [tf.size(part) for part in parts.values()]
    result = {}
    for name, own, there in zip(
        parts, tf.split(rows, sizes), tf.split(present, sizes), strict=True
    ):
        result[f"{name}_{modality}"] = own
        result[f"has_{name}_{modality}"] = there
    return result


def check_encoders(image: Any, text: Any) -> dict[str, Any]:
    """The encoders given, by modality; `TfmmError` if there is none or a wrong one."""
    encoders = {"image": image, "text": text}
    encoders = {name: one for name, one in encoders.items() if one is not None}
    if not encoders:
        raise TfmmError(
            "An encoder is needed. Received: none. Pass `image=`, `text=` or both."
        )
    for name, encoder in encoders.items():
        if (modality := getattr(encoder, "modality", None)) != name:
            raise TfmmError(
                f"`{name}=` takes an encoder of that modality. Received: {encoder!r} "
                f"of modality {modality!r}. Pass it under its own name."
            )
    return encoders


def record_files(folder: str | Path, kind: str) -> list[str]:
    """The TFRecord files of a finished folder of that kind, in name order."""
    manifest = read_manifest(folder, kind)
    names = sorted(name for name in manifest["files"] if name.endswith(".tfrecord"))
    return [str(Path(folder) / name) for name in names]


def _records(folder: str | Path, modalities: list[str]) -> Iterator[dict[str, Any]]:
    try:
        yield from _parsed(folder, modalities, _READ_BATCH)
    except tf.errors.OpError as error:
        raise TfmmError(
            f"`{folder}` holds no readable item records. Received: {error.message}. "
            "Run `item_media` again."
        ) from error


def _parsed(
    folder: str | Path, modalities: list[str], batch_size: int
) -> tf.data.Dataset:
    features = {"row": tf.io.FixedLenFeature([], tf.int64)}
    for name in modalities:
        features[MEDIA[name]] = tf.io.FixedLenFeature([], tf.string, "")
    records = tf.data.TFRecordDataset(record_files(folder, "items")).batch(batch_size)
    return records.map(lambda batch: tf.io.parse_example(batch, features))
