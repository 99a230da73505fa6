"""The border of a served ranker as graph operations; see `tfmm.export.border`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from tfmm.export.assets import Lookup, Names, write_lines
from tfmm.export.border import HasValues, unknown_id
from tfmm.records.index import FILL_ROW, UNKNOWN_ROW, ItemIndex
from tfmm.records.spec import Feature, RequestSpec

Tensors = Mapping[str, tf.Tensor]
RowsOf = Callable[[tf.Tensor], tf.Tensor]


class KeptHistory(NamedTuple):
    """The newest events of a request, as many as the model takes.

    Args:
        place: int32 `[B, K]`, their positions as sent.
        valid: bool `[B, K]`.
        count: int32 `[B]`, how many are valid.
    """

    place: tf.Tensor
    valid: tf.Tensor
    count: tf.Tensor

    def of(self, values: tf.Tensor) -> tf.Tensor:
        """The values `[B, L]` of these events, `[B, K]`."""
        return tf.gather(widen(values), self.place, batch_dims=1)


class Border(tf.Module):
    """Raw ids and strings to rows and codes, by tables in the export's assets.

    Args:
        spec: The ranker's request spec.
        index: The item index it was trained with.
        vocabularies: The vocabularies it was trained with.
        folder: Where the lookup tables' files are written.
        base_score: Whether requests carry a `base_score`.
    """

    def __init__(
        self,
        spec: RequestSpec,
        index: ItemIndex,
        vocabularies: HasValues,
        folder: Path,
        base_score: bool,
    ) -> None:
        super().__init__(name="border")
        self._spec, self._base_score = spec, base_score
        self.item_type = tf.as_dtype(index.id_type)
        self._files = _write_files(spec, index, vocabularies, folder)
        types = {"item_ids": self.item_type, "user": tf.int64}
        hashed = {f.tensor: f.hash_buckets for f in spec.features}
        self._lookups = {
            name: Lookup(
                path,
                types.get(name, tf.string),
                None if name in types else 0,
                hashed.get(name, 0),
            )
            for name, path in self._files.items()
        }
        self._unknown_id = unknown_id(index)
        self._names: Names | None = None

    def batch(
        self,
        request: Tensors,
        rows_of: RowsOf | None = None,
        ids: tuple[str, str] = ("history_item_id", "item_id"),
    ) -> dict[str, tf.Tensor]:
        """The ranker's batch of a request, as `tfmm.export.border.to_batch` makes it.

        Args:
            request: Tensors of the signature `rank`.
            rows_of: From ids to catalog rows; the index's lookup when absent.
            ids: Names of the inputs with the history's and the candidates' ids.
        """
        rows_of = rows_of or self.rows_of
        batch = {"user": self._user(request["user_key"])}
        for feature in self._spec.of_scope("user", "context"):
            batch[feature.tensor] = self._value(feature, request[feature.tensor])
        past, shown = request[ids[0]], request[ids[1]]
        return (
            batch
            | self._history(request, past, rows_of)
            | self._candidates(request, shown, rows_of)
        )

    def rows_of(self, ids: tf.Tensor) -> tf.Tensor:
        """int32 catalog rows of raw ids; 1 where unknown."""
        return self._lookups["item_ids"](ids)

    def ids_of(self, rows: tf.Tensor) -> tf.Tensor:
        """Raw ids of catalog rows; an id that stands for none of rows 0 and 1."""
        if self._names is None:
            path = self._files["item_ids"]
            self._names = Names(path, self.item_type, self._unknown_id)
        return self._names(rows)

    def kept_history(self, request: Tensors, ids: str) -> KeptHistory:
        """Which events of the histories the model sees.

        Args:
            request: Tensors of a signature.
            ids: Name of the input with the history's ids.
        """
        length = tf.shape(request[ids])[1]
        count = tf.clip_by_value(request["n_history"], 0, length)
        kept = tf.minimum(count, self._spec.max_history)
        column = tf.range(tf.clip_by_value(length, 1, self._spec.max_history))
        place = (count - kept)[:, None] + column
        place = tf.minimum(place, tf.maximum(length, 1) - 1)
        return KeptHistory(place, column < kept[:, None], kept)

    def _user(self, keys: tf.Tensor) -> tf.Tensor:
        if "user" in self._lookups:
            return self._lookups["user"](keys)
        return tf.ones_like(keys, tf.int32)

    def _value(self, feature: Feature, values: tf.Tensor) -> tf.Tensor:
        if feature.kind == "numeric":
            return tf.where(tf.math.is_nan(values), 0.0, values)
        return self._lookups[feature.tensor](values)

    def _history(
        self, request: Tensors, ids: tf.Tensor, rows_of: RowsOf
    ) -> dict[str, tf.Tensor]:
        kept = self.kept_history({**request, "ids": ids}, "ids")
        rows = rows_of(kept.of(ids))
        types = tf.zeros_like(rows)
        if self._spec.event_types:
            types = self._lookups["history_type"](kept.of(request["history_type"]))
        return {
            "history_item": tf.where(kept.valid, rows, FILL_ROW),
            "history_type": tf.where(kept.valid, types, 0),
            "n_history": kept.count,
        }

    def _candidates(
        self, request: Tensors, ids: tf.Tensor, rows_of: RowsOf
    ) -> dict[str, tf.Tensor]:
        wide = widen(ids)
        count = tf.clip_by_value(request["n_items"], 0, tf.shape(ids)[1])
        valid = tf.range(tf.shape(wide)[1]) < count[:, None]
        batch = {"item": tf.where(valid, rows_of(wide), FILL_ROW), "n_items": count}
        for feature in self._spec.of_scope("candidate"):
            value = self._value(feature, widen(request[feature.tensor]))
            batch[feature.tensor] = tf.where(valid, value, tf.zeros_like(value))
        if self._base_score:
            score = widen(request["base_score"])
            batch["base_score"] = tf.where(valid, score, 0.0)
        return batch


def widen(values: tf.Tensor) -> tf.Tensor:
    """Gives an empty second axis one element; no model meets an empty axis."""
    shape = tf.shape(values)
    missing = tf.cast(tf.equal(shape[1], 0), tf.int32)
    more = tf.concat([shape[:1], missing[None], shape[2:]], axis=0)
    return tf.concat([values, tf.zeros(more, values.dtype)], axis=1)


def checked_rows(rows: tf.Tensor, count: int) -> tf.Tensor:
    """Catalog rows; those of no item, or beyond the catalog, become unknown.

    Args:
        rows: int32, of any shape.
        count: Rows of the catalog.
    """
    known = (rows > UNKNOWN_ROW) & (rows < count)
    return tf.where(known, rows, UNKNOWN_ROW)


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
