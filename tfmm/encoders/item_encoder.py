"""The encoders as one SavedModel: raw picture and title in, vectors out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfmm.encoders.encoder import Encoder
from tfmm.encoders.image_encoder import ImageEncoder
from tfmm.encoders.text_encoder import TextEncoder
from tfmm.errors import TfmmError
from tfmm.records.manifest import write_manifest, writing

KIND = "item_encoder"
SIGNATURE = "encode_item"
FACTS = "assets.extra/encoder.json"
INPUTS = {"image": "image_bytes", "text": "title"}
_FLAGS = {"image": "has_image", "text": "has_title"}


class ItemEncoder(tf.Module):
    """What a new item is sent through; holds preprocessing and towers.

    `encode_item` takes `image_bytes` and `title`, string `[B]`, and gives
    `image_vector` and `text_vector`, float32 `[B, d]` of length one, with `has_image`
    and `has_title`, bool `[B]`; of the modalities in use only. Where a flag is False
    the vector is zeros: an unreadable picture never fails its batch. Pictures are JPEG
    or PNG; EXIF orientation is not applied, and a JPEG cut after its header counts.

    Args:
        image: The picture encoder, if pictures are in use.
        text: The title encoder, if titles are in use.

    Raises:
        TfmmError: If there is neither.

    Example:
        >>> import tfmm
        >>> module = ItemEncoder(image=tfmm.encoders.image("micro", dimension=8))
        >>> found = module.encode_item(image_bytes=tf.constant([b"not a picture"]))
        >>> found["image_vector"].shape.as_list(), found["has_image"].numpy().tolist()
        ([1, 8], [False])
    """

    def __init__(
        self, image: ImageEncoder | None = None, text: TextEncoder | None = None
    ) -> None:
        super().__init__(name="item_encoder")
        encoders = {"image": image, "text": text}
        used = {name: found for name, found in encoders.items() if found is not None}
        if not used:
            raise TfmmError(
                "An item encoder needs an encoder. Received: neither `image` nor "
                "`text`. Give one or both."
            )
        # Only the bare variables are attributes: a Keras model here would be stored
        # along with its optimizer.
        self.weights = [v.value for e in used.values() for v in e.tower.variables]
        specs = {
            name: tf.TensorSpec([None], tf.string, name=name)
            for name in (INPUTS[modality] for modality in used)
        }
        function = tf.function(_encode_function(used), autograph=False)
        self.encode_item = function.get_concrete_function(**specs)


def save_item_encoder(
    folder: str | Path,
    *,
    image: ImageEncoder | None = None,
    text: TextEncoder | None = None,
) -> None:
    """Writes the encoders as a SavedModel that TensorFlow Serving runs.

    `assets.extra/encoder.json` beside it names each modality's encoder (a digest of
    its weights and preprocessing), by which catalogs know their vectors.

    Args:
        folder: Where to; replaced if it exists.
        image: The picture encoder, if pictures are in use.
        text: The title encoder, if titles are in use.

    Raises:
        TfmmError: If there is neither.
    """
    module = ItemEncoder(image, text)
    facts = {"modalities": {e.modality: _facts(e) for e in (image, text) if e}}
    signatures = {
        SIGNATURE: module.encode_item,
        "serving_default": module.encode_item,
    }
    with writing(folder) as tmp:
        tf.saved_model.save(module, str(tmp), signatures=signatures)
        (tmp / FACTS).parent.mkdir()
        (tmp / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
        write_manifest(tmp, kind=KIND, counts={}, **facts)


def _facts(encoder: Encoder) -> dict[str, Any]:
    return {
        "id": encoder.digest,
        "dimension": encoder.dimension,
        "input": INPUTS[encoder.modality],
        "vector": f"{encoder.modality}_vector",
        "present": _FLAGS[encoder.modality],
    }


def _encode_function(encoders: Mapping[str, Encoder]) -> Any:
    def encode_item(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = {}
        for modality, encoder in encoders.items():
            batch, present = encoder.read(raw[INPUTS[modality]])
            vector = tf.cast(encoder.tower(batch, training=False), tf.float32)
            absent = tf.zeros_like(vector)
            outputs[f"{modality}_vector"] = tf.where(present[:, None], vector, absent)
            outputs[_FLAGS[modality]] = present
        return outputs

    return encode_item
