"""Runs a SavedModel as TF Serving does: through TensorFlow's C API, without Keras."""

import importlib.util
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export import capi_worker
from tfmm.export.graph import needs_text_ops, read_graph, signatures
from tfmm.export.warmup import Call

TIMEOUT_SECONDS = 600


class LoadedAsServer:
    """A SavedModel in a process that knows neither Keras nor TensorFlow's Python.

    It is loaded through TensorFlow's C API, with XLA switched off, as TF Serving does.
    Calls go through pipes one by one, so that hundreds take no more memory than one.

    Args:
        folder: A version's folder.

    Attributes:
        seconds: float, what loading took.
        before_bytes: The most memory held before loading; None where unknown.
        peak_bytes: The most memory held so far; None where unknown.

    Raises:
        TfmmError: If the SavedModel does not load.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        graph = read_graph(self._folder)
        self._signatures = signatures(graph)
        job = {
            "libraries": _libraries(),
            "op_libraries": _text_libraries() if needs_text_ops(graph) else [],
            "folder": str(folder),
        }
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._process = subprocess.Popen(
            [sys.executable, "-I", capi_worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._watch = threading.Timer(TIMEOUT_SECONDS, self._process.kill)
        self._watch.daemon = True
        self._watch.start()
        try:
            answer, _ = self._ask(job, [])
            if "error" in answer:
                raise _fails(folder, answer["error"])
        except BaseException:
            self.close()
            raise
        self.seconds: float = answer["seconds"]
        self.before_bytes: int | None = answer["before_bytes"]

    def __enter__(self) -> "LoadedAsServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._watch.cancel()
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def run(self, call: Call) -> dict[str, np.ndarray] | str:
        """Runs a call.

        Args:
            call: What to run.

        Returns:
            Its outputs by name, strings as `object` arrays of bytes; the server's
            message where it fails.

        Raises:
            TfmmError: If the process has ended, as a server would.
        """
        signature = self._signatures.get(call.signature)
        if signature is None:
            return f"there is no signature {call.signature}"
        sent, taken = set(call.inputs), set(signature.inputs)
        if sent != taken:
            return (
                "input size does not match signature. Sent extra: "
                f"{sorted(sent - taken)}. Missing but required: {sorted(taken - sent)}"
            )
        inputs, blobs = [], []
        for alias, tensor in signature.inputs.items():
            head, *both = _encode(np.asarray(call.inputs[alias]), tensor.dtype)
            inputs.append({"name": tensor.name, **head})
            blobs += both
        outputs = [tensor.name for tensor in signature.outputs.values()]
        answer, found = self._ask({"inputs": inputs, "outputs": outputs}, blobs)
        if "error" in answer:
            return answer["error"]
        tensors = zip(answer["outputs"], found[::2], found[1::2], strict=True)
        return dict(
            zip(signature.outputs, (_decode(*parts) for parts in tensors), strict=True)
        )

    def _ask(
        self, head: dict[str, Any], blobs: Sequence[bytes]
    ) -> tuple[dict[str, Any], list[bytes]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            capi_worker.write_message(stdin, head, blobs)
            answer = capi_worker.read_message(stdout)
        except OSError:  # The process ended before it read everything.
            answer = None
        if answer is None:
            code = self._process.wait()
            self._log.seek(0)
            log = self._log.read().decode(errors="replace")[-2000:]
            raise _fails(self._folder, f"the process ended with {code}: {log}")
        self.peak_bytes: int | None = answer[0].get("peak_bytes")
        return answer


def run_as_server(
    folder: str | Path, calls: Sequence[Call]
) -> list[dict[str, np.ndarray]]:
    """Loads a SavedModel as a server does and runs calls, of which none may fail.

    Args:
        folder: A version's folder.
        calls: What to run.

    Returns:
        The outputs of every call by name; strings as `object` arrays of bytes.

    Raises:
        TfmmError: If the SavedModel does not load or a call fails.
    """
    results = []
    with LoadedAsServer(folder) as model:
        for call in calls:
            result = model.run(call)
            if isinstance(result, str):
                raise _fails(folder, result)
            results.append(result)
    return results


def _fails(folder: str | Path, message: str) -> TfmmError:
    return TfmmError(
        f"`{folder}` does not run outside Python. Received: {message}. "
        "A server would fail in the same way."
    )


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


def _encode(value: np.ndarray, dtype: int) -> tuple[dict[str, Any], bytes, bytes]:
    head = {"dtype": dtype, "shape": list(value.shape)}
    if dtype != capi_worker.STRING:
        return head, value.astype(tf.as_dtype(dtype).as_numpy_dtype).tobytes(), b""
    texts = [v if isinstance(v, bytes) else str(v).encode() for v in value.flat]
    lengths = np.fromiter(map(len, texts), np.uint32, len(texts))
    return head, b"".join(texts), lengths.tobytes()


def _decode(head: Mapping[str, Any], data: bytes, lengths: bytes) -> np.ndarray:
    shape = head["shape"]
    if head["dtype"] != capi_worker.STRING:
        dtype = tf.as_dtype(head["dtype"]).as_numpy_dtype
        return np.frombuffer(data, dtype).reshape(shape)
    ends = np.cumsum(np.frombuffer(lengths, np.uint32), dtype=np.int64).tolist()
    found = np.empty(len(ends), object)
    starts = [0, *ends[:-1]]
    found[:] = [data[a:b] for a, b in zip(starts, ends, strict=True)]
    return found.reshape(shape)
