"""All items as batches for the towers, and what batches of pairs share with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfmm.data.item_media import MEDIA, parsed_items, text_feature
from tfmm.errors import TfmmError

MODALITIES = ("image", "text", "vector")


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
    features = {MEDIA[name]: text_feature() for name in encoders}

    def batch(record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        result = {"row": tf.cast(record["row"], tf.int32)}
        for name, encoder in encoders.items():
            media = {"item": record[MEDIA[name]]}
            result.update(preprocess_parts(name, encoder, media))
        return result

    records = parsed_items(folder, features, batch_size)
    return records.map(batch, tf.data.AUTOTUNE, deterministic=True).prefetch(2)


def preprocess_parts(
    modality: str,
    encoder: Any,
    parts: dict[str, tf.Tensor],
    adjust: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> dict[str, tf.Tensor]:
    """Preprocesses several strings `[B]` of one modality in one call.

    Absent (empty) media cost nothing: their rows are those of a placeholder. Media
    that the encoder cannot read are absent too.

    Args:
        modality: `"image"` or `"text"`.
        encoder: The encoder whose `.read` to use.
        parts: From a part's name, e.g. `"query"`, to its encoded media.
        adjust: What to do with the preprocessed rows, e.g. augmentation. Every part has
            rows of its own, also where two parts are one picture.

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


def check_encoders(
    image: Any = None, text: Any = None, vector: Any = None
) -> dict[str, Any]:
    """The encoders given, by modality; `TfmmError` if there is none or a wrong one."""
    given = zip(MODALITIES, (image, text, vector), strict=True)
    encoders = {name: one for name, one in given if one is not None}
    if not encoders:
        raise TfmmError(
            "An encoder is needed. Received: none. Pass `image=`, `text=`, `vector=` "
            "or several."
        )
    for name, encoder in encoders.items():
        if (modality := getattr(encoder, "modality", None)) != name:
            raise TfmmError(
                f"`{name}=` takes an encoder of that modality. Received: {encoder!r} "
                f"of modality {modality!r}. Pass it under its own name."
            )
    return encoders
