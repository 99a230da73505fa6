"""The served ranker: a plain `tf.Module` around a trained Keras ranker."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export.border import Arrays, HasValues
from tfmm.export.border_ops import Border
from tfmm.export.sample import with_candidates
from tfmm.export.signatures import Example, Served, Signature, make_signatures
from tfmm.export.warmup import Answered, Call
from tfmm.records.index import ItemIndex

DEFAULT = "serving_default"


class ServedRanker(tf.Module):
    """Requests of raw ids in, scores out.

    Looks raw ids and strings up in tables that live in the export's assets, runs the
    ranker, and returns the probability, sigmoid(logit), of every candidate: `score` of
    the ranker's first label, `score_<label>` of each further one. Each signature is a
    graph of its own; all share the ranker's variables.

    Args:
        ranker: A Keras model: batch dict -> logits float32 `[B, N]`, or a dict of them
            by label, with `spec` and `known(rows)`.
        index: The item index it was trained with.
        vocabularies: The vocabularies it was trained with.
        folder: Where the lookup tables' files are written.
        signatures: Names of those besides `rank`.

    Raises:
        TfmmError: If the ranker runs on another backend or does not fit the index, or
            a signature is unknown or not for this ranker.
    """

    def __init__(
        self,
        ranker: Any,
        index: ItemIndex,
        vocabularies: HasValues,
        folder: Path,
        signatures: Iterable[str] = (),
    ) -> None:
        super().__init__(name="ranker")
        _check(ranker, index)
        self.base_score = bool(getattr(ranker, "needs_base_score", False))
        self._border = Border(ranker.spec, index, vocabularies, folder, self.base_score)
        served = Served(ranker, index, vocabularies, self._border)
        self._parts = _Hidden(served, make_signatures(served, signatures))
        self.functions = {s.name: s.function() for s in self._parts.signatures}
        rank, *_ = self.functions.values()
        self.functions = {**self.functions, DEFAULT: rank}
        self._served_variables = _distinct(
            variable
            for function in self.functions.values()
            for variable in function.graph.variables
        )

    def answered(self, request: Arrays, batch: Arrays) -> list[Answered]:
        """A request as each signature takes it, with what the ranker answers.

        Args:
            request: Tensors of the signature `rank`.
            batch: The same requests as the ranker takes them.
        """
        example = Example(request, batch)
        found = [
            Answered(Call(s.name, s.given(example)), s.answer(example))
            for s in self._parts.signatures
        ]
        default = Answered(Call(DEFAULT, found[0].call.inputs), found[0].outputs)
        return [*found, default]

    def warmup(self, request: Arrays) -> list[Call]:
        """Calls of every signature at the usual numbers of candidates."""
        served = self._parts.served
        counts = sorted({1, np.shape(request["item_id"])[1], served.spec.max_items})
        requests = [request, *(with_candidates(request, count) for count in counts)]
        examples = [Example(r, served.batch(r)) for r in requests]
        calls = [
            Call(s.name, s.given(example))
            for s in self._parts.signatures
            for example in examples
        ]
        return [*calls, *(Call(DEFAULT, example.request) for example in examples)]


class _Hidden:
    """Keeps a Keras model out of `tf.Module`'s sight.

    Its optimizer and its bookkeeping would be saved with it.
    """

    def __init__(self, served: Served, signatures: Sequence[Signature]) -> None:
        self.served = served
        self.signatures = signatures


def _distinct(variables: Iterable[Any]) -> list[Any]:
    return list({id(variable): variable for variable in variables}.values())


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
