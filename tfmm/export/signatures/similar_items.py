"""`similar_items`: the catalog's items nearest to a vector, exactly."""

from functools import cached_property

import numpy as np
import tensorflow as tf

from tfmm.catalog.neighbours import nearest
from tfmm.catalog.quantise import VectorTable, quantise
from tfmm.export.border import as_bytes, ids_of
from tfmm.export.inputs import Input
from tfmm.export.signatures.base import Example, Served, Signature
from tfmm.layers.frozen_vectors import VectorRows
from tfmm.layers.new_vectors import quantised
from tfmm.layers.similarity import cosine_similarity
from tfmm.records.index import FIRST_ROW, UNKNOWN_ROW

VECTOR, COUNT = "vector", "k"
CHUNK = 65_536
_ASKED = 5
# In memory a query takes a pass over the catalog.
_QUERIES = 8


class SimilarItems(Signature):
    """The items of the largest cosines with a vector, best first, ties by row.

    Takes `vector` float32 `[B, d]` of any length, e.g. what `encode_query` gives, and
    `k` int32 `[B]`. Answers `item_id` and `cosine` float32 `[B, K]` with K the largest
    k, at most the catalog's items, and `n_items` int32 `[B]`, how many of them are
    real: at most k, and none for zeros or what is not finite. Beyond them ids are
    unknown and cosines 0. The vector is quantised as the catalog's are, so the same
    cosines, and the same order of equals, come out on every device and in every batch:
    those of `Catalog.neighbours`. All vectors are compared, 65,536 at a time.

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

    @property
    def _items(self) -> int:
        return self._table.rows - FIRST_ROW

    def __call__(self, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        queries = quantised(given[VECTOR])
        asked = tf.clip_by_value(given[COUNT], 0, self._items)
        asked = tf.where(queries.present, asked, 0)
        cosines, rows = self._best(queries, tf.reduce_max(asked, axis=0))
        real = tf.reduce_sum(tf.cast(rows > 0, tf.int32), axis=1)
        count = tf.minimum(real, asked)
        kept = tf.range(tf.shape(rows)[1]) < count[:, None]
        return {
            "item_id": self.served.border.ids_of(tf.where(kept, rows, 0)),
            "cosine": tf.where(kept, cosines, 0.0),
            "n_items": count,
        }

    def _best(self, queries: VectorRows, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = self._table.rows
        k = tf.maximum(k, 0)
        shape = tf.stack([tf.shape(queries.codes)[0], k])
        start = tf.constant(FIRST_ROW)
        first = (start, tf.fill(shape, -np.inf), tf.zeros(shape, tf.int32))

        def more(start: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
            return start < size

        def step(
            start: tf.Tensor, best: tf.Tensor, rows: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            chunk = tf.range(start, tf.minimum(start + CHUNK, size))
            items = self._table(chunk)
            found = cosine_similarity(
                items.codes[None],
                queries.codes[None],
                items.inverse_norm[None],
                queries.inverse_norm[None],
            )
            found = tf.where(items.present, tf.transpose(found[0]), -np.inf)
            both = tf.concat([best, found], axis=1)
            best, place = tf.math.top_k(both, k)
            of_chunk = tf.where(items.present, chunk, 0)
            of_chunk = tf.broadcast_to(of_chunk, tf.shape(found))
            candidates = tf.concat([rows, of_chunk], axis=1)
            rows = tf.gather(candidates, place, batch_dims=1)
            return start + CHUNK, best, rows

        free = tf.TensorShape([None, None])
        shapes = (tf.TensorShape([]), free, free)
        _, best, rows = tf.while_loop(more, step, first, shapes)
        return best, rows

    def given(self, example: Example) -> dict[str, np.ndarray]:
        random = np.random.default_rng(0)
        count = min(_QUERIES, len(example.request["n_items"]))
        vectors = random.normal(size=(count, self._table.dimension))
        return {
            VECTOR: vectors.astype(np.float32),
            COUNT: np.arange(_ASKED, _ASKED + count, dtype=np.int32),
        }

    def answer(self, example: Example) -> dict[str, np.ndarray]:
        given = self.given(example)
        asked = np.minimum(given[COUNT], self._items)
        shape = len(asked), int(asked.max(initial=0))
        rows, cosines = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        count = np.zeros(len(asked), np.int32)
        table = VectorTable(*(np.array(w) for w in self._table.weights))
        # The row that is no item holds the query.
        own = np.array([UNKNOWN_ROW])
        for place, (query, k) in enumerate(zip(given[VECTOR], asked, strict=True)):
            found = nearest([table.filled(own, quantise([query]))], UNKNOWN_ROW, k)
            count[place] = len(found)
            rows[place, : len(found)] = [row for row, _ in found]
            cosines[place, : len(found)] = [cosine for _, cosine in found]
        ids = ids_of(rows, self.served.index)
        ids = as_bytes(ids) if ids.dtype == object else ids
        return {"item_id": ids, "cosine": cosines, "n_items": count}
