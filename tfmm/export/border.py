"""The border of a served ranker: raw ids and strings outside, rows and codes inside.

The same mapping exists twice: here in numpy, where it can be read and tested, and as
graph operations in `tfmm.export.ranker`, where it is served.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from tfmm.errors import TfmmError
from tfmm.export.inputs import signature_inputs
from tfmm.export.strings import strings_of
from tfmm.records.index import FILL_ROW, FIRST_ROW, UNKNOWN_ROW, ItemIndex
from tfmm.records.spec import RequestSpec
from tfmm.records.vocabularies import codes_of as column_codes

Arrays = Mapping[str, np.ndarray]


class HasValues(Protocol):
    """What the border needs of `tfmm.records.vocabularies.Vocabularies`."""

    @property
    def values(self) -> Mapping[str, Sequence[str]]:
        """Known values per feature tensor; `"user"` holds decimal user keys."""


def to_batch(
    request: Arrays, spec: RequestSpec, index: ItemIndex, vocabularies: HasValues
) -> dict[str, np.ndarray]:
    """Turns requests of raw ids and strings into the ranker's batch.

    Unknown items get row 1, unknown strings code 1, empty strings code 0, and NaN, a
    missing number, becomes 0. Whatever
    lies beyond the counts becomes 0 unseen. Of a history longer than
    `spec.max_history` the newest events stay. Axes of length 0 become length 1, so
    that no model meets an empty axis.

    Args:
        request: Tensors named as in `signature_inputs`.
        spec: The ranker's request spec.
        index: The item index the ranker was trained with.
        vocabularies: The vocabularies the ranker was trained with.

    Returns:
        The batch dict of `tfmm.data.requests`, without labels.
    """
    values = vocabularies.values
    keys = np.asarray(request["user_key"]).astype(str).astype(object)
    batch = {"user": codes_of(keys, values.get("user", ()))}
    for feature in spec.of_scope("user", "context"):
        value = request[feature.tensor]
        batch[feature.tensor] = (
            codes_of(value, values[feature.tensor], feature.hash_buckets)
            if feature.kind == "categorical"
            else _numbers(value)
        )
    return (
        batch
        | _history(request, spec, index)
        | _candidates(request, spec, index, values)
    )


def codes_of(
    values: np.ndarray, known: Sequence[str], hash_buckets: int = 0
) -> np.ndarray:
    """Codes of strings: position in `known` + 2; 1 unknown, 0 for the empty string.

    Args:
        values: Strings or bytes, of any shape.
        known: The known values.
        hash_buckets: How many hashed codes unknown values share.

    Example:
        >>> codes_of(np.array([["b", "", "x"]], object), ["a", "b"]).tolist()
        [[3, 0, 1]]
    """
    values = np.asarray(values, object)
    texts = pa.array([_bytes(value) for value in values.flat], pa.binary())
    return column_codes(known, texts, hash_buckets).reshape(values.shape)


def newest_events(
    request: Arrays, spec: RequestSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which events of the histories the ranker sees: the newest it has room for.

    Args:
        request: Tensors named as in `signature_inputs`.
        spec: The ranker's request spec.

    Returns:
        Their positions as sent, int `[B, K]`; which are real, bool `[B, K]`; how many
        are, int `[B]`.
    """
    length = _widen(request["history_item_id"]).shape[1]
    count = _count(request, "n_history", "history_item_id")
    kept = np.minimum(count, spec.max_history)
    column = np.arange(min(length, spec.max_history))
    place = np.minimum((count - kept)[:, None] + column, length - 1)
    return place, column < kept[:, None], kept


def _history(
    request: Arrays, spec: RequestSpec, index: ItemIndex
) -> dict[str, np.ndarray]:
    place, valid, kept = newest_events(request, spec)
    ids = np.take_along_axis(_widen(request["history_item_id"]), place, 1)
    found = {
        "history_item": _rows(ids, valid, index),
        "n_history": kept.astype(np.int32),
    }
    if spec.event_types:
        types = np.take_along_axis(_widen(request["history_type"]), place, 1)
        found["history_type"] = codes_of(types, spec.event_types) * valid
    else:
        found["history_type"] = np.zeros(valid.shape, np.int32)
    return found


def _candidates(
    request: Arrays, spec: RequestSpec, index: ItemIndex, values: Mapping
) -> dict[str, np.ndarray]:
    ids = _widen(request["item_id"])
    count = _count(request, "n_items", "item_id")
    valid = np.arange(ids.shape[1]) < count[:, None]
    found = {"item": _rows(ids, valid, index), "n_items": count.astype(np.int32)}
    for feature in spec.of_scope("candidate"):
        value = _widen(request[feature.tensor])
        found[feature.tensor] = (
            codes_of(value, values[feature.tensor], feature.hash_buckets) * valid
            if feature.kind == "categorical"
            else np.where(valid, _numbers(value), np.float32(0))
        )
    if "base_score" in request:
        score = _widen(request["base_score"])
        found["base_score"] = np.where(valid, score, 0).astype(np.float32)
    return found


def _numbers(value: np.ndarray) -> np.ndarray:
    value = np.asarray(value, np.float32)
    return np.where(np.isnan(value), np.float32(0), value)


def _count(request: Arrays, count: str, ids: str) -> np.ndarray:
    return np.clip(np.asarray(request[count]), 0, np.shape(request[ids])[1])


def _widen(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.shape[1]:
        return values
    fill = "" if values.dtype == object else 0
    return np.full((len(values), 1), fill, values.dtype)


def _rows(ids: np.ndarray, valid: np.ndarray, index: ItemIndex) -> np.ndarray:
    texts = [_text(value) for value in ids.flat]
    return np.where(valid, index.rows_of(texts).reshape(ids.shape), FILL_ROW).astype(
        np.int32
    )


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def to_request(
    batch: Arrays,
    spec: RequestSpec,
    index: ItemIndex,
    vocabularies: HasValues,
    base_score: bool = False,
) -> dict[str, np.ndarray]:
    """The inverse of `to_batch`: rows and codes become raw ids and strings.

    Args:
        batch: A batch of `tfmm.data.requests`; needs its `user_key`.
        spec: The ranker's request spec.
        index: The item index the batch was made with.
        vocabularies: The vocabularies the batch was made with.
        base_score: Whether the ranker needs a `base_score` per candidate.

    Raises:
        TfmmError: If the batch lacks a tensor that the signature needs.
    """
    known: dict[str, Sequence[str]] = {
        **vocabularies.values,
        "history_type": spec.event_types,
    }
    sources = {"history_item_id": "history_item", "item_id": "item"}
    hashed = {feature.tensor: feature.hash_buckets for feature in spec.features}
    request = {}
    for item in signature_inputs(spec, index.id_type, base_score):
        source = sources.get(item.name, item.name)
        if source not in batch:
            raise TfmmError(
                f"The sample batch lacks `{source}`. Received: {sorted(batch)}. "
                "Pass a batch of tfmm.data.requests of the same schema."
            )
        value = np.asarray(batch[source])
        if item.name in sources:
            value = ids_of(value, index)
        elif item.dtype == "string":
            value = strings_of(value, known[item.name], hashed.get(item.name, 0))
        request[item.name] = value.astype(item.numpy_dtype)
    return request


def ids_of(rows: np.ndarray, index: ItemIndex) -> np.ndarray:
    """Raw ids of catalog rows; rows 0 and 1 become an id that the index lacks."""
    texts = unknown_id(index) if (rows < FIRST_ROW).any() else ""
    ids = [index.id_of(row) or texts for row in np.asarray(rows).ravel().tolist()]
    dtype = np.int64 if index.id_type == "int64" else object
    return np.array([int(i) for i in ids] if dtype is np.int64 else ids, dtype).reshape(
        rows.shape
    )


def as_bytes(texts: np.ndarray) -> np.ndarray:
    """Texts as servers answer them: an `object` array of bytes, of the same shape."""
    found = np.empty(texts.size, object)
    found[:] = [_bytes(text) for text in texts.flat]
    return found.reshape(texts.shape)


def unknown_id(index: ItemIndex) -> str:
    """An id that stands for no item of the index."""
    if index.id_type == "string":
        return ""
    candidate = -1
    while index.rows_of([str(candidate)])[0] != UNKNOWN_ROW:
        candidate -= 1
    return str(candidate)
