"""`rank_with_vectors`: vectors of new items ride along with the request."""

from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export.border import Arrays, newest_events
from tfmm.export.border_ops import Tensors, widen
from tfmm.export.inputs import Input
from tfmm.export.signatures.base import Example, Served, Signature
from tfmm.export.signatures.scores import scores_in_memory, scores_of

ID, COUNT = "new_item_id", "n_new"
_PAST, _SHOWN = "history_item_id", "item_id"
_DRAWN = 2


class RankWithVectors(Signature):
    """`rank`, with vectors of items that the catalog does not hold, or holds others of.

    A vector counts wherever its id stands among the request's candidates and history,
    before the catalog's own, and is quantised as the catalog's are: an item scores as
    if it had been in the catalog. Of an id sent twice the first counts; zeros are no
    vector. Ids and vectors of different widths fail their batch.
    """

    name = "rank_with_vectors"
    needs_ranking_model = True

    def __init__(self, served: Served) -> None:
        super().__init__(served)
        if not served.ranker.vectors:
            raise TfmmError(
                f"`{self.name}` takes vectors of items. Received: a ranker without "
                "any. Export without this signature."
            )

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        ids = Input(ID, self.served.index.id_type, 2)
        vectors = [
            Input(_vector(name), "float32", 2, table.dimension)
            for name, table in self.served.ranker.vectors.items()
        ]
        return (*self.served.inputs(), ids, *vectors, Input(COUNT, "int32", 1))

    def __call__(self, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        served, ids = self.served, given[_SHOWN]
        past = served.border.kept_history(given, _PAST).of(given[_PAST])
        batch = served.border.batch(given)
        batch |= self._vectors(given)
        batch["item_vector"] = self._places(given, widen(ids), batch["item"])
        batch["history_vector"] = self._places(given, past, batch["history_item"])
        tables = served.ranker.vectors_of(batch)

        def known(places: Any) -> tf.Tensor:
            found = [table(places).present for table in tables.values()]
            return tf.reduce_any(tf.stack(found), axis=0)

        found = scores_of(served.ranker, batch, tf.shape(ids)[1], known)
        return {_SHOWN: tf.identity(ids), **found}

    def _vectors(self, given: Tensors) -> dict[str, tf.Tensor]:
        """The vectors as wide as the ids: a server checks no shapes, and of other
        widths a vector would count for another id, even of another request."""
        sent = tf.shape(given[ID])
        return {
            i.name: widen(
                tf.reshape(given[i.name], tf.concat([sent, [i.dimension]], axis=0))
            )
            for i in self.inputs
            if i.dimension
        }

    def _places(self, given: Tensors, ids: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Where the vectors of ids `[B, W]` stand: in the catalog or after it."""
        new = widen(given[ID])
        requests, width = tf.unstack(tf.shape(new))
        sent = (
            tf.range(width) < tf.minimum(given[COUNT], tf.shape(given[ID])[1])[:, None]
        )
        same = (ids[:, :, None] == new[:, None]) & sent[:, None]
        first = tf.argmax(tf.cast(same, tf.int32), axis=-1, output_type=tf.int32)
        start = self.served.spec.rows + tf.range(requests)[:, None] * width
        return tf.where(tf.reduce_any(same, axis=-1), start + first, rows)

    def given(self, example: Example) -> dict[str, np.ndarray]:
        """The first candidates and events of each request get drawn vectors."""
        random = np.random.default_rng(0)
        request = dict(example.request)
        sides = [np.asarray(request[name])[:, :_DRAWN] for name in (_SHOWN, _PAST)]
        ids = np.concatenate(sides, axis=1)
        for i in self.inputs:
            if i.dimension:
                drawn = random.normal(size=(*ids.shape, i.dimension))
                request[i.name] = drawn.astype(np.float32)
        return {**request, ID: ids, COUNT: np.full(len(ids), ids.shape[1], np.int32)}

    def answer(self, example: Example) -> dict[str, np.ndarray]:
        given, rows = self.given(example), self.served.spec.rows
        place = newest_events(given, self.served.spec)[0]
        batch = dict(example.batch)
        if given[_PAST].shape[1]:
            past = np.take_along_axis(np.asarray(given[_PAST]), place, 1)
            batch["history_vector"] = _by_hand(given, past, batch["history_item"], rows)
        batch["item_vector"] = _by_hand(given, given[_SHOWN], batch["item"], rows)
        batch |= {i.name: given[i.name] for i in self.inputs if i.dimension}

        def known(places: np.ndarray) -> np.ndarray:
            old = np.where(places < rows, places, 0)
            # Drawn vectors are never zeros.
            return (places >= rows) | np.asarray(self.served.ranker.known(old), bool)

        width = given[_SHOWN].shape[1]
        return scores_in_memory(self.served.ranker, batch, width, known)


def _vector(modality: str) -> str:
    return f"new_{modality}_vector"


def _by_hand(given: Arrays, ids: np.ndarray, rows: Any, count: int) -> np.ndarray:
    places = np.array(rows)
    new = np.asarray(given[ID])
    for b, row in enumerate(new):
        first = {value: v for v, value in reversed(list(enumerate(row.tolist())))}
        for n, value in enumerate(ids[b].tolist()):
            if value in first and n < places.shape[1]:
                places[b, n] = count + b * len(row) + first[value]
    return places
