"""Replays a SavedModel as TF Serving would and compares it with the model in memory."""

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

TOLERANCE = 1e-5
TIMEOUT_SECONDS = 300


def run_as_server(
    folder: str | Path, calls: Sequence[Call]
) -> list[dict[str, np.ndarray]]:
    """Loads a SavedModel through TensorFlow's C API in another process and runs calls.

    That process knows neither Keras nor TensorFlow's Python layer, and has XLA
    switched off, as TF Serving has.

    Args:
        folder: A version's folder.
        calls: What to run.

    Returns:
        The outputs of every call by name; strings as `object` arrays of bytes.

    Raises:
        TfmmError: If the SavedModel does not load or a call fails.
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
        raise TfmmError(
            f"`{folder}` does not run outside Python. Received: {answer['error']}. "
            "A server would fail in the same way; nothing was published."
        )
    return [
        dict(zip(found[call.signature].outputs, map(_decode, result), strict=True))
        for call, result in zip(calls, answer["results"], strict=True)
    ]


def check_equal(
    got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], what: str
) -> None:
    """Refuses outputs that differ from the model in memory.

    Args:
        got: Outputs of the SavedModel.
        expected: What they must be; floats to 1e-5, all else exactly.
        what: What was run, for the message.

    Raises:
        TfmmError: If an output is missing, of another shape or of other values.
    """
    for name, right in expected.items():
        left, right = got[name], np.asarray(right)
        same = left.shape == right.shape
        if same and right.dtype.kind == "f":
            same = np.allclose(left, right, rtol=0, atol=TOLERANCE, equal_nan=True)
        elif same:
            same = bool(np.array_equal(left, right))
        if not same:
            raise TfmmError(
                f"The exported {what} differs from the model in memory in `{name}`. "
                f"Expected: {_excerpt(right)}. Received: {_excerpt(left)}. "
                "Nothing was published; please report it with the model's settings."
            )


def _excerpt(array: np.ndarray) -> str:
    return f"shape {array.shape}, first values {array.ravel()[:5].tolist()}"


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
