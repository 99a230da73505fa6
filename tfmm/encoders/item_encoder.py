"""The encoders as one SavedModel: raw picture and title in, vectors out."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
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
QUERY_SIGNATURE = "encode_query"
INPUTS = {"image": "image_bytes", "text": "title"}
QUERY_INPUTS = {"image": "image_bytes", "text": "text"}
_FLAGS = {"image": "has_image", "text": "has_title", "fused": "has_fused"}
_QUERY_FLAGS = {**_FLAGS, "text": "has_text"}


class ItemEncoder(tf.Module):
    """What a new item is sent through; holds preprocessing and towers.

    `encode_item` takes `image_bytes` and `title`, string `[B]`, and gives
    `image_vector` and `text_vector`, float32 `[B, d]` of length one, with `has_image`
    and `has_title`, bool `[B]`; of the modalities in use only. With a fusion there are
    also `fused_vector` and `has_fused`, true where there is picture or title. Where a
    flag is False the vector is zeros: an unreadable picture never fails its batch.
    Pictures are JPEG or PNG; EXIF orientation is not applied, and a JPEG cut after its
    header counts.

    `encode_query` takes a search: `image_bytes` and `text`, string `[B]`, and gives
    `<direction>_vector` of each direction that queries were trained for, e.g.
    `text_to_image_vector`, which finds items by their image vectors; and `has_image`
    and `has_text`.

    Args:
        image: The picture encoder, if pictures are in use.
        text: The title encoder, if titles are in use.
        fusion: What joins the two vectors, if that is in use.
        queries: Direction, as `tfmm.SCL.query_encoder` names it, -> what encodes its
            queries; the items' own encoders when absent.

    Raises:
        TfmmError: If there is neither `image` nor `text`, or the fusion or a query's
            encoder does not go with them.

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
        queries: Mapping[str, Any] | None = None,
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
        parts = used if fusion is None else {**used, "fused": fusion}
        queries = dict(parts if queries is None else queries)
        _check_queries(queries, parts)
        towers = [found.tower for found in (*parts.values(), *queries.values())]
        # Only the bare variables are attributes: a Keras model here would be stored
        # along with its optimizer.
        values = [v.value for tower in towers for v in tower.variables]
        self.weights = list({id(value): value for value in values}.values())
        self.encode_item = _traced(_encode_function(used, fusion), INPUTS, used)
        self.encode_query = _traced(_query_function(used, queries), QUERY_INPUTS, used)


def save_item_encoder(
    folder: str | Path,
    *,
    image: ImageEncoder | None = None,
    text: TextEncoder | None = None,
    fusion: FusionEncoder | None = None,
    queries: Mapping[str, Any] | None = None,
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
        queries: Direction -> what encodes its queries, as of `ItemEncoder`.

    Raises:
        TfmmError: If there is neither `image` nor `text`, or the fusion or a query's
            encoder does not go with them.
    """
    module = ItemEncoder(image, text, fusion, queries)
    used: list[Encoder] = [found for found in (image, text) if found is not None]
    modalities = {e.modality: _facts(e, e.digest, [e.modality]) for e in used}
    if fusion is not None:
        digests = "".join(e.digest for e in (*used, fusion))
        digest = hashlib.sha256(digests.encode()).hexdigest()[:16]
        modalities["fused"] = _facts(fusion, digest, ["image", "text"])
    directions = {d: found.modality for d, found in (queries or {}).items()}
    facts = {"modalities": modalities, "queries": directions}
    signatures = {
        SIGNATURE: module.encode_item,
        QUERY_SIGNATURE: module.encode_query,
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


def _check_queries(queries: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    for direction, encoder in queries.items():
        if encoder.modality not in parts:
            raise TfmmError(
                "A query is encoded by what encodes items too. Expected: one of "
                f"{list(parts)}. Received: {direction!r} of {encoder.modality!r}. "
                "Leave this direction out, or give its encoder."
            )


def _traced(
    function: Callable[..., dict[str, tf.Tensor]],
    inputs: Mapping[str, str],
    used: Iterable[str],
) -> Any:
    specs = {
        name: tf.TensorSpec([None], tf.string, name=name)
        for name in (inputs[modality] for modality in used)
    }
    traced = tf.function(_of_any_rows(function), autograph=False)
    return traced.get_concrete_function(**specs)


def _of_any_rows(function: Callable[..., dict[str, tf.Tensor]]) -> Any:
    """Fused convolutions fail on no rows at all: an empty batch gets one, for now."""

    def run(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.size(next(iter(raw.values())))
        filler = tf.fill([tf.maximum(1 - rows, 0)], "")
        raw = {name: tf.concat([data, filler], 0) for name, data in raw.items()}
        return {name: value[:rows] for name, value in function(**raw).items()}

    return run


def _query_function(
    encoders: Mapping[str, MediaEncoder], queries: Mapping[str, Any]
) -> Any:
    def encode_query(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
        read = {m: found.read(raw[QUERY_INPUTS[m]]) for m, found in encoders.items()}
        flags = {m: present for m, (_, present) in read.items()}
        own = {
            m: _where(flags[m], found.tower(read[m][0], training=False))
            for m, found in encoders.items()
        }
        outputs = {_QUERY_FLAGS[m]: present for m, present in flags.items()}
        for direction, encoder in queries.items():
            if encoder.modality in encoders:
                given, present = read[encoder.modality]
            else:
                present = encoder.present(*flags.values())
                given = [*own.values(), *flags.values()]
                outputs[_QUERY_FLAGS["fused"]] = present
            vector = encoder.tower(given, training=False)
            outputs[f"{direction}_vector"] = _where(present, vector)
        return outputs

    return encode_query


def _encode_function(
    encoders: Mapping[str, MediaEncoder], fusion: FusionEncoder | None
) -> Any:
    def encode_item(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
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
        return outputs

    return encode_item


def _where(present: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    vector = tf.cast(vector, tf.float32)
    return tf.where(present[:, None], vector, tf.zeros_like(vector))
