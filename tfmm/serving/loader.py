"""Loads a version of a model and runs its signatures."""

import gc
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from tfmm.export.graph import read_graph, register_operations, signatures
from tfmm.export.warmup import read_warmup
from tfmm.serving.metrics import Metrics
from tfmm.serving.session import Session
from tfmm.serving.status import CODES, StatusError, invalid


class LoadedModel:
    """One version of a model, warmed up and ready to run from many threads.

    Args:
        folder: The version's folder.
        metrics: Where the warm-up is timed.

    Raises:
        StatusError: If it does not load, or a warm-up request fails.
    """

    def __init__(self, folder: Path, metrics: Metrics | None = None) -> None:
        self._signatures: dict[str, Any] = {}
        try:
            graph = read_graph(folder)
            register_operations(graph)
            self._signatures = signatures(graph)
            self._session = Session(folder, self._signatures)
            self.signature_defs = dict(graph.signature_def)
            self._warm_up(folder, metrics or Metrics())
        except StatusError:
            raise
        except Exception as error:
            # Whatever a damaged version raises, the server must go on.
            raise StatusError(_code(error), f"{folder}: {error}") from error

    def __del__(self) -> None:
        # A graph is full of cycles: without this its memory stays taken.
        vars(self).clear()
        gc.collect()

    def dtypes(self, signature: str) -> dict[str, str]:
        """Input name -> dtype name of a signature.

        Raises:
            StatusError: INVALID_ARGUMENT if there is no such signature.
        """
        inputs = self._signature(signature).inputs
        return {name: tf.as_dtype(info.dtype).name for name, info in inputs.items()}

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            signature: Its name.
            inputs: Exactly its inputs by name; shapes are not checked, as in TF
                Serving.

        Returns:
            Output name -> array.

        Raises:
            StatusError: What the graph refuses, with its code and message.
        """
        info = self._signature(signature)
        check_names(set(inputs), set(info.inputs))
        try:
            return self._session.run(signature, inputs)
        except tf.errors.OpError as error:
            raise StatusError(_code(error), error.message) from error
        except (TypeError, ValueError) as error:
            raise invalid(str(error)) from error

    def metadata(self) -> dict[str, Any]:
        """All signatures as JSON, in the shape of TF Serving's metadata answer."""
        return {
            name: json_format.MessageToDict(
                signature,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for name, signature in self.signature_defs.items()
        }

    def _warm_up(self, folder: Path, metrics: Metrics) -> None:
        for call in read_warmup(folder):
            start = time.perf_counter()
            self.run(call.signature, call.inputs)
            seconds = time.perf_counter() - start
            metrics.warmup.add(str(folder), "OK", seconds=seconds)

    def _signature(self, name: str) -> Any:
        if name not in self._signatures:
            raise invalid(
                f'Serving signature name: "{name}" not found in signature def'
            )
        return self._signatures[name]


def check_names(sent: set[str], required: set[str]) -> None:
    """Refuses inputs other than a signature's.

    Raises:
        StatusError: INVALID_ARGUMENT that lists what is too many and what is missing.
    """
    if sent != required:
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(required)} "
            f"len({_listed(sent)}) != len({_listed(required)}). "
            f"Sent extra: {_listed(sent - required)}. "
            f"Missing but required: {_listed(required - sent)}."
        )


def _listed(names: set[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def _code(error: Exception) -> str:
    if isinstance(error, tf.errors.OpError):
        return CODES[error.error_code]
    return "INVALID_ARGUMENT" if isinstance(error, ValueError) else "UNKNOWN"
