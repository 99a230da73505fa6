"""`rank`: users with their candidates, by raw id."""

from functools import cached_property

import numpy as np
import tensorflow as tf

from tfmm.export.inputs import Input
from tfmm.export.signatures.base import Example, Signature
from tfmm.export.signatures.scores import scores_in_memory, scores_of


class Rank(Signature):
    """One request a row; what concerns the user is computed once per request."""

    name = "rank"

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        return self.served.inputs()

    def __call__(self, **request: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = request["item_id"]
        batch = self.served.border.batch(request)
        found = scores_of(self.served.ranker, batch, tf.shape(ids)[1])
        return {"item_id": tf.identity(ids), **found}

    def given(self, example: Example) -> dict[str, np.ndarray]:
        return dict(example.request)

    def answer(self, example: Example) -> dict[str, np.ndarray]:
        width = np.shape(example.request["item_id"])[1]
        return scores_in_memory(self.served.ranker, example.batch, width)
