"""`rank_examples`: requests as serialized tf.Examples, as logs keep them."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.export.border import Arrays
from tfmm.export.inputs import Input
from tfmm.export.signatures.base import Example, Signature
from tfmm.export.signatures.rank import Rank

EXAMPLES = Input("examples", "string", 1)
_COUNTS = {"history": "n_history", "items": "n_items"}


class RankExamples(Signature):
    """One tf.Example a request, its features named as the inputs of `rank`.

    The lengths of `history_item_id` and `item_id` are the counts. A feature that is
    left out, or too short, is missing; what is too long is cut. A request that is no
    tf.Example, or has a feature of another kind, fails its batch.
    """

    name = "rank_examples"

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        return (EXAMPLES,)

    def __call__(self, **tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        wanted = [i for i in self.served.inputs() if i.name not in _COUNTS.values()]
        features = {i.name: tf.io.RaggedFeature(tf.as_dtype(i.dtype)) for i in wanted}
        parsed = tf.io.parse_example(tensors[EXAMPLES.name], features)
        request = {i.name: _dense(parsed, i) for i in wanted}
        for side, count in _COUNTS.items():
            lengths = parsed[_IDS[side]].row_lengths()
            request[count] = tf.cast(lengths, tf.int32)
        return Rank(self.served)(**request)

    def given(self, example: Example) -> dict[str, np.ndarray]:
        return {EXAMPLES.name: to_examples(example.request)}

    def answer(self, example: Example) -> dict[str, np.ndarray]:
        found = Rank(self.served).answer(example)
        width = int(np.max(example.request["n_items"], initial=0))
        return {k: v[:, :width] if v.ndim == 2 else v for k, v in found.items()}


_IDS = {"history": "history_item_id", "items": "item_id"}


def to_examples(request: Arrays) -> np.ndarray:
    """Requests of `rank` as serialized tf.Examples for `rank_examples`.

    Args:
        request: Tensors named as the inputs of `rank`.

    Returns:
        `object` array `[B]` of bytes.

    Example:
        >>> request = {"n_history": [0], "n_items": [1], "user_key": np.array([7]),
        ...            "history_item_id": np.array([["a"]], object),
        ...            "item_id": np.array([["b", "padding"]], object)}
        >>> example = tf.train.Example.FromString(to_examples(request)[0])
        >>> example.features.feature["item_id"].bytes_list.value
        [b'b']
    """
    rows = len(request["n_items"])
    found = np.empty(rows, object)
    found[:] = [_example(request, row).SerializeToString() for row in range(rows)]
    return found


def _example(request: Arrays, row: int) -> tf.train.Example:
    example = tf.train.Example()
    for name, values in request.items():
        if name in _COUNTS.values():
            continue
        value = np.atleast_1d(np.asarray(values)[row])
        if np.ndim(values) == 2:
            side = "history" if name.startswith("history_") else "items"
            value = value[: max(0, int(request[_COUNTS[side]][row]))]
        feature = example.features.feature[name]
        if value.dtype.kind in "iu":
            feature.int64_list.value.extend(value.tolist())
        elif value.dtype.kind == "f":
            feature.float_list.value.extend(value.tolist())
        else:
            texts = [v if isinstance(v, bytes) else str(v).encode() for v in value]
            feature.bytes_list.value.extend(texts)
    return example


def _dense(parsed: Mapping[str, Any], item: Input) -> tf.Tensor:
    # No number is not a 0: a `base_score` of 0 would be a certain no.
    missing = {"string": "", "float32": np.nan}.get(item.dtype, 0)
    value = parsed[item.name]
    if item.rank == 1:
        return value.to_tensor(missing, shape=[None, 1])[:, 0]
    side = "history" if item.name.startswith("history_") else "items"
    width = parsed[_IDS[side]].bounding_shape(axis=1)
    return value.to_tensor(missing, shape=tf.stack([-1, width]))
