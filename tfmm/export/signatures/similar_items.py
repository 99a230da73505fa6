"""`similar_items`: the catalog's items nearest to a vector, exactly."""

from functools import cached_property

import numpy as np
import tensorflow as tf

from tfmm.export.border import as_bytes, ids_of
from tfmm.export.inputs import Input
from tfmm.export.signatures.base import Example, Served, Signature
from tfmm.layers.frozen_vectors import unit_vectors
from tfmm.layers.gather import gather_rows
from tfmm.ranking.exact_top_k import top_k

VECTOR, COUNT = "vector", "k"
CHUNK = 65_536
_ASKED = 5


class SimilarItems(Signature):
    """The items of the largest cosines with a vector, best first, ties by row.

    Takes `vector` float32 `[B, d]` of any length, e.g. what `encode_query` gives, and
    `k` int32 `[B]`. Answers `item_id` and `cosine` float32 `[B, K]` with K the largest
    k, and `n_items` int32 `[B]`, how many of them are real: at most k, and none for
    zeros or what is not finite. All vectors are compared, 65,536 at a time.

    Args:
        served: What it works with.
        name: `similar_items`, or `similar_items_<modality>`.
        modality: Whose vectors.
    """

    needs_ranking_model = True

    def __init__(self, served: Served, name: str, modality: str) -> None:
        self.name = name
        super().__init__(served)
        self._table = served.ranker.vectors[modality]

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        vector = Input(VECTOR, "float32", 1, self._table.dimension)
        return (vector, Input(COUNT, "int32", 1))

    def __call__(self, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        vectors, usable = _units(given[VECTOR])
        asked = tf.where(usable, tf.clip_by_value(given[COUNT], 0, self._table.rows), 0)
        cosines, rows = self._best(vectors, tf.reduce_max(asked, axis=0))
        real = tf.reduce_sum(tf.cast(rows > 0, tf.int32), axis=1)
        count = tf.minimum(real, asked)
        kept = tf.range(tf.shape(rows)[1]) < count[:, None]
        return {
            "item_id": self.served.border.ids_of(tf.where(kept, rows, 0)),
            "cosine": tf.where(kept, cosines, 0.0),
            "n_items": count,
        }

    def _best(self, vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = self._table.rows
        k = tf.maximum(k, 0)
        shape = tf.stack([tf.shape(vectors)[0], k])
        first = (tf.constant(0), tf.fill(shape, -np.inf), tf.zeros(shape, tf.int32))

        def more(start: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
            return start < size

        def step(
            start: tf.Tensor, best: tf.Tensor, rows: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            chunk = tf.range(start, tf.minimum(start + CHUNK, size))
            present = gather_rows(self._table.present, chunk)
            units = unit_vectors(self._table(chunk))
            found = tf.matmul(vectors, units, transpose_b=True)
            found = tf.where(present, found, -np.inf)
            both = tf.concat([best, found], axis=1)
            best, place = tf.math.top_k(both, k)
            of_chunk = tf.broadcast_to(tf.where(present, chunk, 0), tf.shape(found))
            candidates = tf.concat([rows, of_chunk], axis=1)
            rows = tf.gather(candidates, place, batch_dims=1)
            return start + CHUNK, best, rows

        free = tf.TensorShape([None, None])
        shapes = (tf.TensorShape([]), free, free)
        _, best, rows = tf.while_loop(more, step, first, shapes)
        return best, rows

    def given(self, example: Example) -> dict[str, np.ndarray]:
        random = np.random.default_rng(0)
        count = len(example.request["n_items"])
        vectors = random.normal(size=(count, self._table.dimension))
        return {
            VECTOR: vectors.astype(np.float32),
            COUNT: np.arange(_ASKED, _ASKED + count, dtype=np.int32),
        }

    def answer(self, example: Example) -> dict[str, np.ndarray]:
        given = self.given(example)
        units = np.array(unit_vectors(self._table(np.arange(self._table.rows))))
        present = np.flatnonzero(np.asarray(self._table.present))
        # `top_k` takes rows 0 and 1 for no items.
        items = np.pad(units[present], [(2, 0), (0, 0)])
        vectors = given[VECTOR] / np.linalg.norm(given[VECTOR], axis=1, keepdims=True)
        width = int(given[COUNT].max(initial=0))
        count = np.minimum(given[COUNT], len(present)).astype(np.int32)
        found = {"n_items": count}
        if not len(present) or not len(vectors):
            return found
        places, cosines = top_k(vectors, items, width)
        kept = np.arange(width) < count[:, None]
        rows = np.zeros(kept.shape, np.int64)
        scores = np.zeros(kept.shape, np.float32)
        rows[:, : places.shape[1]] = present[places - 2]
        scores[:, : places.shape[1]] = cosines
        ids = ids_of(np.where(kept, rows, 0), self.served.index)
        found["item_id"] = as_bytes(ids) if ids.dtype == object else ids
        return {**found, "cosine": np.where(kept, scores, 0)}


def _units(vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Vectors of length 1, and which had a direction."""
    norm = tf.norm(vectors, axis=1)
    usable = (norm > 0) & tf.math.is_finite(norm)
    safe = tf.where(usable[:, None], vectors, 0.0)
    return safe / tf.where(usable, norm, 1.0)[:, None], usable
