"""`rank_flat`: one user and one candidate a row."""

from functools import cached_property

import numpy as np
import tensorflow as tf

from tfmm.export.inputs import Input
from tfmm.export.signatures.base import Example, Signature
from tfmm.export.signatures.rank import Rank

# Each pair of an example carries a whole history.
_SHOWN = 64


class RankFlat(Signature):
    """For callers who score pairs; the user's side is sent and computed for each."""

    name = "rank_flat"

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(
            Input(i.name, i.dtype, 1) if i.of_candidate else i
            for i in self.served.inputs()
            if i.name != "n_items"
        )

    def __call__(self, **pairs: tf.Tensor) -> dict[str, tf.Tensor]:
        one = {i.name for i in self.inputs if i.of_candidate}
        request = {k: v[:, None] if k in one else v for k, v in pairs.items()}
        request["n_items"] = tf.ones_like(pairs["n_history"])
        found = Rank(self.served)(**request)
        return {k: v[:, 0] if len(v.shape) == 2 else v for k, v in found.items()}

    def given(self, example: Example) -> dict[str, np.ndarray]:
        place, candidate = _pairs(example)
        return {
            i.name: np.asarray(example.request[i.name])[
                (place, candidate) if i.of_candidate else place
            ]
            for i in self.inputs
        }

    def answer(self, example: Example) -> dict[str, np.ndarray]:
        place, candidate = _pairs(example)
        found = Rank(self.served).answer(example)
        return {
            name: value[(place, candidate) if value.ndim == 2 else place]
            for name, value in found.items()
        }


def _pairs(example: Example) -> tuple[np.ndarray, np.ndarray]:
    """The first valid candidates: their requests and their places."""
    width = np.shape(example.request["item_id"])[1]
    count = np.asarray(example.request["n_items"])
    place, candidate = np.nonzero(np.arange(width) < count[:, None])
    return place[:_SHOWN], candidate[:_SHOWN]
