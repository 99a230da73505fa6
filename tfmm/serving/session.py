"""A SavedModel in a session, run by tensor names as TF Serving runs it."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from tfmm.export.graph import SERVED_TAG

RUN_SECONDS = 30.0
Dtypes = list[tuple[str, Any]]


class Session:
    """Runs the signatures of a SavedModel, from many threads at once.

    Several times cheaper than calling the functions that `tf.saved_model.load` returns,
    and all its memory is free once it is dropped.

    Args:
        folder: The version's folder.
        signatures: Signature name -> SignatureDef.
    """

    def __init__(self, folder: Path, signatures: Mapping[str, Any]) -> None:
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default(), _quiet():
            tf.compat.v1.saved_model.load(self._session, [SERVED_TAG], str(folder))
        self._calls = {name: self._call(s) for name, s in signatures.items()}

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            signature: Its name.
            inputs: All its inputs by name; strings as `object` arrays.

        Returns:
            Output name -> array; strings as `object` arrays of bytes.

        Raises:
            TypeError: If a value would lose its kind in the input's dtype.
            tf.errors.OpError: What the graph refuses; after `RUN_SECONDS` in any case.
        """
        fed, fetched, call = self._calls[signature]
        values = call(
            *(
                np.asarray(inputs[name]).astype(dtype, casting="same_kind", copy=False)
                for name, dtype in fed
            )
        )
        return {
            name: np.asarray(value, dtype)
            for (name, dtype), value in zip(fetched, values, strict=True)
        }

    def _call(self, signature: Any) -> tuple[Dtypes, Dtypes, Any]:
        inputs, outputs = sorted(signature.inputs), sorted(signature.outputs)
        options = config_pb2.CallableOptions(
            feed=[signature.inputs[name].name for name in inputs],
            fetch=[signature.outputs[name].name for name in outputs],
        )
        options.run_options.timeout_in_ms = round(1000 * RUN_SECONDS)
        # `Session.run` would check shapes, which TF Serving does not, and costs more.
        call = self._session._make_callable_from_options(options)
        return _dtypes(signature.inputs), _dtypes(signature.outputs), call


def _dtypes(tensors: Any) -> Dtypes:
    """(name, numpy dtype) of a signature's inputs or outputs, in order."""
    return [
        (name, tf.as_dtype(info.dtype).as_numpy_dtype)
        for name, info in sorted(tensors.items())
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice to load into functions instead."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
