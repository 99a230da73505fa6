"""`rank_rows`: `rank` by catalog row, for callers who keep the item index."""

from functools import cached_property

import numpy as np
import tensorflow as tf

from tfmm.export.border_ops import checked_rows
from tfmm.export.inputs import Input
from tfmm.export.signatures.base import Example, Signature, renamed
from tfmm.export.signatures.scores import scores_in_memory, scores_of

ITEM, HISTORY = Input("item", "int32", 2), Input("history_item", "int32", 2)


class RankRows(Signature):
    """No id is looked up; a row of no item, or beyond the catalog, is an unknown item.

    Rows mean items by the index that the export's manifest names, and by no other.
    """

    name = "rank_rows"

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        names = {"item_id": ITEM, "history_item_id": HISTORY}
        return renamed(self.served.inputs(), names)

    def __call__(self, **request: tf.Tensor) -> dict[str, tf.Tensor]:
        rows, count = request["item"], self.served.spec.rows
        batch = self.served.border.batch(
            request,
            lambda given: checked_rows(given, count),
            (HISTORY.name, ITEM.name),
        )
        found = scores_of(self.served.ranker, batch, tf.shape(rows)[1])
        return {"item": tf.identity(rows), **found}

    def given(self, example: Example) -> dict[str, np.ndarray]:
        rows_of = self.served.index.rows_of

        def rows(ids: np.ndarray) -> np.ndarray:
            texts = [_text(value) for value in np.ravel(ids)]
            return rows_of(texts).reshape(np.shape(ids))

        names = {ITEM.name: "item_id", HISTORY.name: "history_item_id"}
        given = {name: rows(example.request[ids]) for name, ids in names.items()}
        return given | {
            name: np.asarray(values)
            for name, values in example.request.items()
            if name not in names.values()
        }

    def answer(self, example: Example) -> dict[str, np.ndarray]:
        width = np.shape(example.request["item_id"])[1]
        return scores_in_memory(self.served.ranker, example.batch, width)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
