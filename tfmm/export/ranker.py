"""The served ranker: a plain `tf.Module` around a trained Keras ranker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export.assets import Lookup, write_lines
from tfmm.export.border import Arrays, HasValues
from tfmm.export.sample import with_candidates
from tfmm.export.signature import Input, score_names, signature_inputs
from tfmm.export.warmup import Answered, Call
from tfmm.ranking.heads import by_label
from tfmm.records.index import FILL_ROW, ItemIndex
from tfmm.records.spec import Feature, RequestSpec

SIGNATURE = "rank"
DEFAULT = "serving_default"


class ServedRanker(tf.Module):
    """Requests of raw ids in, scores out.

    Looks raw ids and strings up in tables that live in the export's assets, runs the
    ranker, and returns the probability, sigmoid(logit), of every candidate: `score` of
    the ranker's first label, `score_<label>` of each further one.

    Args:
        ranker: A Keras model: batch dict -> logits float32 `[B, N]`, or a dict of them
            by label, with `spec` and `known(rows)`.
        index: The item index it was trained with.
        vocabularies: The vocabularies it was trained with.
        folder: Where the lookup tables' files are written.

    Raises:
        TfmmError: If the ranker runs on another backend or does not fit the index.
    """

    def __init__(
        self,
        ranker: Any,
        index: ItemIndex,
        vocabularies: HasValues,
        folder: Path,
    ) -> None:
        super().__init__(name="ranker")
        _check(ranker, index)
        self._spec: RequestSpec = ranker.spec
        self._item_type = tf.as_dtype(index.id_type)
        files = _write_files(ranker.spec, index, vocabularies, folder)
        types = {"item_ids": self._item_type, "user": tf.int64}
        hashed = {f.tensor: f.hash_buckets for f in ranker.spec.features}
        self._lookups = {
            name: Lookup(
                path,
                types.get(name, tf.string),
                None if name in types else 0,
                hashed.get(name, 0),
            )
            for name, path in files.items()
        }
        # The Keras model itself must not hang on the module: its optimizer and its
        # bookkeeping would be saved with it.
        self._ranker = _Hidden(ranker)
        self.base_score = bool(getattr(ranker, "needs_base_score", False))
        self.inputs = signature_inputs(ranker.spec, index.id_type, self.base_score)
        self.rank = tf.function(self._rank, autograph=False).get_concrete_function(
            **{i.name: _tensor_spec(i) for i in self.inputs}
        )
        self.functions = {SIGNATURE: self.rank, DEFAULT: self.rank}
        self._served_variables = list(self.rank.graph.variables)

    def answered(self, request: Arrays, batch: Arrays) -> list[Answered]:
        """A request as each signature takes it, with what the ranker answers.

        Args:
            request: Tensors of the signature `rank`.
            batch: The same requests as the ranker takes them.
        """
        outputs = self._outputs(request, batch)
        return [Answered(Call(name, request), outputs) for name in self.functions]

    def warmup(self, request: Arrays) -> list[Call]:
        """Calls of every signature at the usual numbers of candidates."""
        counts = sorted({1, request["item_id"].shape[1], self._spec.max_items})
        shorter = [with_candidates(request, count) for count in counts]
        return [
            Call(name, inputs)
            for name in self.functions
            for inputs in (request, *shorter)
        ]

    def _outputs(self, request: Arrays, batch: Arrays) -> dict[str, np.ndarray]:
        ranker = self._ranker.model
        logits = by_label(ranker, ranker(dict(batch), training=False))
        known = np.asarray(ranker.known(batch["item"]), bool)
        width = request["item_id"].shape[1]
        valid = np.arange(width) < np.asarray(request["n_items"])[:, None]
        found = {"known": valid & known[:, :width]}
        for name, values in zip(score_names(logits), logits.values(), strict=True):
            score = 1 / (1 + np.exp(-np.asarray(values, np.float64)[:, :width]))
            found[name] = np.where(valid, score, 0).astype(np.float32)
        return found

    def _rank(self, **request: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = self._batch(request)
        model = self._ranker.model
        logits = by_label(model, model(batch, training=False))
        known = model.known(batch["item"])
        ids = request["item_id"]
        width = tf.shape(ids)[1]
        valid = tf.range(width) < batch["n_items"][:, None]
        scores = {
            output: tf.where(valid, tf.sigmoid(tf.cast(x, tf.float32))[:, :width], 0.0)
            for output, x in zip(score_names(logits), logits.values(), strict=True)
        }
        return {
            "item_id": tf.identity(ids),
            **scores,
            "known": valid & tf.cast(known, tf.bool)[:, :width],
        }

    def _batch(self, request: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        batch = {"user": self._user(request["user_key"])}
        for feature in self._spec.of_scope("user", "context"):
            batch[feature.tensor] = self._value(feature, request[feature.tensor])
        return batch | self._history(request) | self._candidates(request)

    def _user(self, keys: tf.Tensor) -> tf.Tensor:
        if "user" in self._lookups:
            return self._lookups["user"](keys)
        return tf.ones_like(keys, tf.int32)

    def _value(self, feature: Feature, values: tf.Tensor) -> tf.Tensor:
        if feature.kind == "numeric":
            return tf.where(tf.math.is_nan(values), 0.0, values)
        return self._lookups[feature.tensor](values)

    def _history(self, request: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        length = tf.shape(request["history_item_id"])[1]
        count = tf.clip_by_value(request["n_history"], 0, length)
        kept = tf.minimum(count, self._spec.max_history)
        column = tf.range(tf.clip_by_value(length, 1, self._spec.max_history))
        place = (count - kept)[:, None] + column
        place = tf.minimum(place, tf.maximum(length, 1) - 1)
        valid = column < kept[:, None]

        def newest(name: str) -> tf.Tensor:
            return tf.gather(_widen(request[name]), place, batch_dims=1)

        rows = self._lookups["item_ids"](newest("history_item_id"))
        types = tf.zeros_like(rows)
        if self._spec.event_types:
            types = self._lookups["history_type"](newest("history_type"))
        return {
            "history_item": tf.where(valid, rows, FILL_ROW),
            "history_type": tf.where(valid, types, 0),
            "n_history": kept,
        }

    def _candidates(self, request: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        ids = _widen(request["item_id"])
        count = tf.clip_by_value(request["n_items"], 0, tf.shape(request["item_id"])[1])
        valid = tf.range(tf.shape(ids)[1]) < count[:, None]
        rows = self._lookups["item_ids"](ids)
        batch = {"item": tf.where(valid, rows, FILL_ROW), "n_items": count}
        for feature in self._spec.of_scope("candidate"):
            value = self._value(feature, _widen(request[feature.tensor]))
            batch[feature.tensor] = tf.where(valid, value, tf.zeros_like(value))
        if self.base_score:
            score = _widen(request["base_score"])
            batch["base_score"] = tf.where(valid, score, 0.0)
        return batch


class _Hidden:
    """Keeps a Keras model out of `tf.Module`'s sight."""

    def __init__(self, model: Any) -> None:
        self.model = model


def _check(ranker: Any, index: ItemIndex) -> None:
    if keras.backend.backend() != "tensorflow":
        raise TfmmError(
            "An export needs Keras on TensorFlow. "
            f"Received: KERAS_BACKEND={keras.backend.backend()}. "
            "Load the saved .keras file with KERAS_BACKEND=tensorflow and export it."
        )
    if ranker.spec.rows != index.rows:
        raise TfmmError(
            "The ranker and the item index have different numbers of rows. "
            f"Expected: {ranker.spec.rows} rows. Received: an index of {index.rows}. "
            "Export with the index the ranker's catalog was built with."
        )


def _write_files(
    spec: RequestSpec, index: ItemIndex, vocabularies: HasValues, folder: Path
) -> dict[str, Path]:
    values = vocabularies.values
    files: dict[str, Sequence[str]] = {"item_ids": index.ids}
    if "user" in values:
        files["user"] = values["user"]
    if spec.event_types:
        files["history_type"] = spec.event_types
    for feature in spec.of_scope("user", "context", "candidate"):
        if feature.kind == "categorical":
            files[feature.tensor] = values[feature.tensor]
    return {
        name: write_lines(folder / f"{name}.txt", lines)
        for name, lines in files.items()
    }


def _tensor_spec(item: Input) -> tf.TensorSpec:
    return tf.TensorSpec([None] * item.rank, tf.as_dtype(item.dtype), name=item.name)


def _widen(values: tf.Tensor) -> tf.Tensor:
    """Gives an empty second axis one element; no model meets an empty axis."""
    shape = tf.shape(values)
    missing = tf.cast(tf.equal(shape[1], 0), tf.int32)
    fill = tf.zeros(tf.stack([shape[0], missing]), values.dtype)
    return tf.concat([values, fill], axis=1)
