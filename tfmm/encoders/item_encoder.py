"""The encoders as one SavedModel: raw picture and title in, vectors out."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfmm.encoders.encoder import Encoder
from tfmm.encoders.fusion_encoder import FusionEncoder
from tfmm.encoders.image_encoder import ImageEncoder
from tfmm.encoders.media_encoder import MediaEncoder
from tfmm.encoders.text_encoder import TextEncoder
from tfmm.errors import TfmmError
from tfmm.records.manifest import write_manifest, writing

KIND = "item_encoder"
SIGNATURE = "encode_item"
FACTS = "assets.extra/encoder.json"
INPUTS = {"image": "image_bytes", "text": "title"}
_FLAGS = {"image": "has_image", "text": "has_title", "fused": "has_fused"}


class ItemEncoder(tf.Module):
    """What a new item is sent through; holds preprocessing and towers.

    `encode_item` takes `image_bytes` and `title`, string `[B]`, and gives
    `image_vector` and `text_vector`, float32 `[B, d]` of length one, with `has_image`
    and `has_title`, bool `[B]`; of the modalities in use only. With a fusion there are
    also `fused_vector` and `has_fused`, true where there is picture or title. Where a
    flag is False the vector is zeros: an unreadable picture never fails its batch.
    Pictures are JPEG or PNG; EXIF orientation is not applied, and a JPEG cut after its
    header counts.

    Args:
        image: The picture encoder, if pictures are in use.
        text: The title encoder, if titles are in use.
        fusion: What joins the two vectors, if that is in use.

    Raises:
        TfmmError: If there is neither `image` nor `text`, or the fusion does not go
            with them.

    Example:
        >>> import tfmm
        >>> module = ItemEncoder(image=tfmm.encoders.image("micro", dimension=8))
        >>> found = module.encode_item(image_bytes=tf.constant([b"not a picture"]))
        >>> found["image_vector"].shape.as_list(), found["has_image"].numpy().tolist()
        ([1, 8], [False])
    """

    def __init__(
        self,
        image: ImageEncoder | None = None,
        text: TextEncoder | None = None,
        fusion: FusionEncoder | None = None,
    ) -> None:
        super().__init__(name="item_encoder")
        if text is not None:
            text = TextEncoder(text.tower, text.tokens.fresh())
            self.resources = text.tokens.resources
        encoders = {"image": image, "text": text}
        used: dict[str, Any] = {
            name: found for name, found in encoders.items() if found is not None
        }
        if not used:
            raise TfmmError(
                "An item encoder needs an encoder. Received: neither `image` nor "
                "`text`. Give one or both."
            )
        if fusion is not None:
            _check_fusion(fusion, used)
        towers = [found.tower for found in (image, text, fusion) if found is not None]
        # Only the bare variables are attributes: a Keras model here would be stored
        # along with its optimizer.
        self.weights = [v.value for tower in towers for v in tower.variables]
        specs = {
            name: tf.TensorSpec([None], tf.string, name=name)
            for name in (INPUTS[modality] for modality in used)
        }
        function = tf.function(_encode_function(used, fusion), autograph=False)
        self.encode_item = function.get_concrete_function(**specs)


def save_item_encoder(
    folder: str | Path,
    *,
    image: ImageEncoder | None = None,
    text: TextEncoder | None = None,
    fusion: FusionEncoder | None = None,
) -> None:
    """Writes the encoders as a SavedModel that TensorFlow Serving runs.

    `assets.extra/encoder.json` beside it names each modality's encoder (a digest of
    its weights and preprocessing; of the fusion, of all three encoders), by which
    catalogs know their vectors, and what it takes and gives.

    Args:
        folder: Where to; replaced if it exists.
        image: The picture encoder, if pictures are in use.
        text: The title encoder, if titles are in use.
        fusion: What joins the two vectors, if that is in use.

    Raises:
        TfmmError: If there is neither `image` nor `text`, or the fusion does not go
            with them.
    """
    module = ItemEncoder(image, text, fusion)
    used: list[Encoder] = [found for found in (image, text) if found is not None]
    modalities = {e.modality: _facts(e, e.digest, [e.modality]) for e in used}
    if fusion is not None:
        digests = "".join(e.digest for e in (*used, fusion))
        digest = hashlib.sha256(digests.encode()).hexdigest()[:16]
        modalities["fused"] = _facts(fusion, digest, ["image", "text"])
    facts = {"modalities": modalities}
    signatures = {
        SIGNATURE: module.encode_item,
        "serving_default": module.encode_item,
    }
    with writing(folder) as tmp:
        tf.saved_model.save(module, str(tmp), signatures=signatures)
        (tmp / FACTS).parent.mkdir()
        (tmp / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
        write_manifest(tmp, kind=KIND, counts={}, **facts)


def _facts(encoder: Encoder, digest: str, inputs: list[str]) -> dict[str, Any]:
    return {
        "id": digest,
        "dimension": encoder.dimension,
        "inputs": [INPUTS[modality] for modality in inputs],
        "vector": f"{encoder.modality}_vector",
        "present": _FLAGS[encoder.modality],
    }


def _check_fusion(fusion: FusionEncoder, used: Mapping[str, Encoder]) -> None:
    given = [used[name].dimension if name in used else None for name in INPUTS]
    wanted = [shape[-1] for shape in fusion.tower.input_shape[:2]]
    if given != wanted:
        raise TfmmError(
            "A fusion takes the vectors of the encoders beside it. Expected: image "
            f"and text of dimensions {wanted}. Received: {given}. Give the encoders "
            "that it was made for."
        )


def _encode_function(
    encoders: Mapping[str, MediaEncoder], fusion: FusionEncoder | None
) -> Any:
    def encode_item(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.size(next(iter(raw.values())))
        # Fused convolutions fail on no rows at all: an empty batch gets one, for now.
        filler = tf.fill([tf.maximum(1 - rows, 0)], "")
        raw = {name: tf.concat([data, filler], 0) for name, data in raw.items()}
        outputs = {}
        for modality, encoder in encoders.items():
            batch, present = encoder.read(raw[INPUTS[modality]])
            vector = encoder.tower(batch, training=False)
            outputs[f"{modality}_vector"] = _where(present, vector)
            outputs[_FLAGS[modality]] = present
        if fusion is not None:
            flags = [outputs[_FLAGS[modality]] for modality in INPUTS]
            parts = [outputs[f"{modality}_vector"] for modality in INPUTS]
            present = fusion.present(*flags)
            vector = fusion.tower([*parts, *flags], training=False)
            outputs["fused_vector"] = _where(present, vector)
            outputs["has_fused"] = present
        return {name: value[:rows] for name, value in outputs.items()}

    return encode_item


def _where(present: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    vector = tf.cast(vector, tf.float32)
    return tf.where(present[:, None], vector, tf.zeros_like(vector))
