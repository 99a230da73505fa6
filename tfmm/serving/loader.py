"""Loads a version of a model and runs its signatures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from tfmm.export.graph import load_saved_model, read_graph, signatures
from tfmm.export.warmup import read_warmup
from tfmm.serving.status import CODES, StatusError, invalid


class LoadedModel:
    """One version of a model, warmed up and ready to run from many threads.

    Args:
        folder: The version's folder.

    Raises:
        StatusError: If it does not load, or a warm-up request fails.
    """

    def __init__(self, folder: Path) -> None:
        self._signatures: dict[str, Any] = {}
        try:
            graph = read_graph(folder)
            self._model = load_saved_model(folder)
            self._signatures = signatures(graph)
            self.signature_defs = dict(graph.signature_def)
            for call in read_warmup(folder):
                self.run(call.signature, call.inputs)
        except StatusError:
            raise
        except Exception as error:
            # Whatever a damaged version raises, the server must go on.
            raise StatusError(_code(error), f"{folder}: {error}") from error

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
        _check_names(set(inputs), set(info.inputs))
        try:
            tensors = {
                name: tf.constant(inputs[name], tf.as_dtype(tensor.dtype))
                for name, tensor in info.inputs.items()
            }
            outputs = self._model.signatures[signature](**tensors)
            return {name: _array(value) for name, value in outputs.items()}
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

    def _signature(self, name: str) -> Any:
        if name not in self._signatures:
            raise invalid(
                f"Serving signature name: {name!r} not found in signature def"
            )
        return self._signatures[name]


def _array(value: tf.Tensor) -> np.ndarray:
    """The tensor's array; of texts one of objects, without any axis too."""
    return np.asarray(value.numpy(), object if value.dtype == tf.string else None)


def _check_names(sent: set[str], required: set[str]) -> None:
    if sent != required:
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(required)}. "
            f"Sent extra: {{{','.join(sorted(sent - required))}}}. "
            f"Missing but required: {{{','.join(sorted(required - sent))}}}."
        )


def _code(error: Exception) -> str:
    if isinstance(error, tf.errors.OpError):
        return CODES[error.error_code]
    return "INVALID_ARGUMENT" if isinstance(error, ValueError) else "UNKNOWN"
