"""Runs a SavedModel as TF Serving does: through TensorFlow's C API, without Keras."""

import base64
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export import capi_worker
from tfmm.export.graph import needs_text_ops, read_graph, signatures
from tfmm.export.warmup import Call

TIMEOUT_SECONDS = 300


def run_as_server(
    folder: str | Path, calls: Sequence[Call]
) -> list[dict[str, np.ndarray]]:
    """`run_each`, where nothing may fail.

    Args:
        folder: A version's folder.
        calls: What to run.

    Returns:
        The outputs of every call by name; strings as `object` arrays of bytes.

    Raises:
        TfmmError: If the SavedModel does not load or a call fails.
    """
    results = []
    for result in run_each(folder, calls):
        if isinstance(result, str):
            raise _fails(folder, result)
        results.append(result)
    return results


def run_each(
    folder: str | Path, calls: Sequence[Call]
) -> list[dict[str, np.ndarray] | str]:
    """Loads a SavedModel through TensorFlow's C API in another process and runs calls.

    That process knows neither Keras nor TensorFlow's Python layer, and has XLA
    switched off, as TF Serving has.

    Args:
        folder: A version's folder.
        calls: What to run.

    Returns:
        The outputs of every call by name, strings as `object` arrays of bytes; the
        server's message where a call fails.

    Raises:
        TfmmError: If the SavedModel does not load.
    """
    folder = Path(folder)
    graph = read_graph(folder)
    found = signatures(graph)
    job = {
        "libraries": _libraries(),
        "op_libraries": _text_libraries() if needs_text_ops(graph) else [],
        "folder": str(folder),
        "calls": [_encode_call(call, found[call.signature]) for call in calls],
    }
    process = subprocess.run(
        [sys.executable, "-I", capi_worker.__file__],
        input=json.dumps(job).encode(),
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    answer = _parse_answer(process)
    if "error" in answer:
        raise _fails(folder, answer["error"])
    return [
        result
        if isinstance(result, str)
        else dict(zip(found[call.signature].outputs, map(_decode, result), strict=True))
        for call, result in zip(calls, answer["results"], strict=True)
    ]


def _fails(folder: str | Path, message: str) -> TfmmError:
    return TfmmError(
        f"`{folder}` does not run outside Python. Received: {message}. "
        "A server would fail in the same way."
    )


def _parse_answer(process: subprocess.CompletedProcess) -> dict[str, Any]:
    try:
        return json.loads(process.stdout)
    except ValueError:
        log = process.stderr.decode(errors="replace")[-2000:]
        return {"error": f"the process ended with {process.returncode}: {log}"}


def _libraries() -> list[str]:
    folder = Path(tf.sysconfig.get_lib())
    return [
        str(next(folder.glob(f"{name}.so*")))
        for name in ("libtensorflow_framework", "libtensorflow_cc")
    ]


def _text_libraries() -> list[str]:
    found = importlib.util.find_spec("tensorflow_text")
    if found is None or found.origin is None:
        raise TfmmError(
            "The graph uses TF Text operations. Received: no tensorflow-text. "
            "Install it: pip install tensorflow-text."
        )
    folder = Path(found.origin).parent / "python" / "ops"
    return [str(path) for path in sorted(folder.glob("*.so"))]


def _encode_call(call: Call, signature: Any) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": tensor.name, **_encode(call.inputs[alias], tensor.dtype)}
            for alias, tensor in signature.inputs.items()
        ],
        "outputs": [{"name": tensor.name} for tensor in signature.outputs.values()],
    }


def _encode(value: np.ndarray, dtype: int) -> dict[str, Any]:
    value = np.asarray(value)
    if dtype == capi_worker.STRING:
        parts = [v if isinstance(v, bytes) else str(v).encode() for v in value.flat]
    else:
        parts = [value.astype(tf.as_dtype(dtype).as_numpy_dtype).tobytes()]
    data = [base64.b64encode(part).decode() for part in parts]
    return {"dtype": dtype, "shape": list(value.shape), "data": data}


def _decode(tensor: Mapping[str, Any]) -> np.ndarray:
    parts = [base64.b64decode(part) for part in tensor["data"]]
    if tensor["dtype"] == capi_worker.STRING:
        array = np.empty(len(parts), object)
        array[:] = parts
        return array.reshape(tensor["shape"])
    dtype = tf.as_dtype(tensor["dtype"]).as_numpy_dtype
    return np.frombuffer(parts[0], dtype).reshape(tensor["shape"])
