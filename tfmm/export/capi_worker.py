"""Runs a SavedModel through TensorFlow's C API, without TensorFlow's Python.

This is the code path of TF Serving: the C++ loader and `Session::Run` by tensor name,
with XLA switched off as the server does. It runs as a script of its own, reads one
message at a time from standard input and answers it on standard output; it imports
nothing beyond the standard library.

A message is a line of JSON followed by blobs of the sizes it lists, two a tensor: its
values (the joined texts of strings) and the strings' lengths as uint32.
"""

import ctypes
import json
import sys
import time
from array import array
from collections.abc import Sequence
from typing import IO, Any

STRING = 7
STRING_BYTES = 24
DISABLE_XLA = "_ZN10tensorflow21DisableXlaCompilationEv"

_POINTER, _INT, _SIZE, _TEXT = (
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_size_t,
    ctypes.c_char_p,
)
# name -> what it returns, what it takes.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "TF_NewStatus": (_POINTER, []),
    "TF_GetCode": (_INT, [_POINTER]),
    "TF_Message": (_TEXT, [_POINTER]),
    "TF_LoadLibrary": (_POINTER, [_TEXT, _POINTER]),
    "TF_NewGraph": (_POINTER, []),
    "TF_NewSessionOptions": (_POINTER, []),
    "TF_LoadSessionFromSavedModel": (
        _POINTER,
        [_POINTER, _POINTER, _TEXT, _POINTER, _INT, _POINTER, _POINTER, _POINTER],
    ),
    "TF_GraphOperationByName": (_POINTER, [_POINTER, _TEXT]),
    "TF_SessionRun": (
        None,
        [
            *(_POINTER, _POINTER),
            *(_POINTER, _POINTER, _INT),
            *(_POINTER, _POINTER, _INT),
            *(_POINTER, _INT),
            *(_POINTER, _POINTER),
        ],
    ),
    "TF_AllocateTensor": (_POINTER, [_INT, _POINTER, _INT, _SIZE]),
    "TF_DeleteTensor": (None, [_POINTER]),
    "TF_TensorData": (_POINTER, [_POINTER]),
    "TF_TensorByteSize": (_SIZE, [_POINTER]),
    "TF_TensorType": (_INT, [_POINTER]),
    "TF_NumDims": (_INT, [_POINTER]),
    "TF_Dim": (ctypes.c_int64, [_POINTER, _INT]),
    "TF_StringInit": (None, [_POINTER]),
    "TF_StringCopy": (None, [_POINTER, _TEXT, _SIZE]),
    "TF_StringDealloc": (None, [_POINTER]),
    "TF_StringGetSize": (_SIZE, [_POINTER]),
    "TF_StringGetDataPointer": (_POINTER, [_POINTER]),
}


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next message and its blobs; None where the stream has ended."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    blobs = [stream.read(size) for size in head["sizes"]]
    whole = [len(blob) for blob in blobs] == head["sizes"]
    return (head, blobs) if whole else None


def write_message(
    stream: IO[bytes], head: dict[str, Any], blobs: Sequence[bytes] = ()
) -> None:
    """Writes a message and its blobs."""
    line = json.dumps({**head, "sizes": [len(blob) for blob in blobs]})
    stream.write(b"".join([line.encode(), b"\n", *blobs]))
    stream.flush()


class Output(ctypes.Structure):
    """TF_Output: one output of an operation."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Api:
    """The few C functions that loading and running takes.

    Args:
        libraries: Paths of libtensorflow_framework and libtensorflow_cc.
    """

    def __init__(self, libraries: list[str]) -> None:
        framework, core = (ctypes.CDLL(p, mode=ctypes.RTLD_GLOBAL) for p in libraries)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(core if hasattr(core, name) else framework, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self.status = self.TF_NewStatus()
        if hasattr(core, DISABLE_XLA):
            getattr(core, DISABLE_XLA)()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no C function {name}")

    def check(self) -> None:
        """Raises the status of the last call unless it was OK."""
        code = self.TF_GetCode(self.status)
        if code:
            message = self.TF_Message(self.status).decode(errors="replace")
            raise RuntimeError(f"{code}: {message}")


class Model:
    """A loaded SavedModel.

    Args:
        api: The C functions.
        folder: The version's folder.
    """

    def __init__(self, api: Api, folder: str) -> None:
        self._api = api
        self._graph = api.TF_NewGraph()
        tags = (ctypes.c_char_p * 1)(b"serve")
        options = api.TF_NewSessionOptions()
        self._session = api.TF_LoadSessionFromSavedModel(
            options, None, folder.encode(), tags, 1, self._graph, None, api.status
        )
        api.check()

    def run(
        self, head: dict[str, Any], blobs: list[bytes]
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Feeds tensors by name, fetches tensors by name."""
        api, feeds, fetches = self._api, head["inputs"], head["outputs"]
        fed = (Output * len(feeds))(*(self._output(feed["name"]) for feed in feeds))
        fetched = (Output * len(fetches))(*map(self._output, fetches))
        parts = zip(feeds, blobs[::2], blobs[1::2], strict=True)
        values = (ctypes.c_void_p * len(feeds))(*(self._tensor(*p) for p in parts))
        results = (ctypes.c_void_p * len(fetches))()
        try:
            api.TF_SessionRun(
                *(self._session, None),
                *(fed, values, len(feeds)),
                *(fetched, results, len(fetches)),
                *(None, 0),
                *(None, api.status),
            )
            api.check()
            # An echoed input shares its memory, so all is read before any is freed.
            return _joined([self._read(tensor) for tensor in results])
        finally:
            for feed, tensor in zip(feeds, values, strict=True):
                self._free(tensor, feed["dtype"] == STRING)
            for tensor in filter(None, results):
                api.TF_DeleteTensor(tensor)

    def _output(self, tensor: str) -> Output:
        name, _, index = tensor.partition(":")
        operation = self._api.TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise RuntimeError(f"the graph has no operation {name}")
        return Output(operation, int(index or 0))

    def _tensor(self, head: dict[str, Any], data: bytes, lengths: bytes) -> int:
        api, dims = self._api, head["shape"]
        shape = (ctypes.c_int64 * len(dims))(*dims)
        is_string = head["dtype"] == STRING
        texts = _texts(data, lengths) if is_string else []
        size = STRING_BYTES * len(texts) if is_string else len(data)
        tensor = api.TF_AllocateTensor(head["dtype"], shape, len(dims), size)
        start = api.TF_TensorData(tensor)
        if size and not is_string:
            ctypes.memmove(start, data, size)
        for place, text in enumerate(texts):
            address = start + place * STRING_BYTES
            api.TF_StringInit(address)
            api.TF_StringCopy(address, text, len(text))
        return tensor

    def _free(self, tensor: int, is_string: bool) -> None:
        if is_string:
            for place in self._strings(tensor):
                self._api.TF_StringDealloc(place)
        self._api.TF_DeleteTensor(tensor)

    def _strings(self, tensor: int) -> range:
        """The addresses of a tensor's strings."""
        size = self._api.TF_TensorByteSize(tensor)
        start = self._api.TF_TensorData(tensor) or 0
        return range(start, start + size, STRING_BYTES)

    def _read(self, tensor: Any) -> tuple[dict[str, Any], bytes, bytes]:
        api = self._api
        shape = [api.TF_Dim(tensor, axis) for axis in range(api.TF_NumDims(tensor))]
        head = {"dtype": api.TF_TensorType(tensor), "shape": shape}
        if head["dtype"] != STRING:
            size = api.TF_TensorByteSize(tensor)
            data = ctypes.string_at(api.TF_TensorData(tensor), size) if size else b""
            return head, data, b""
        texts = [
            ctypes.string_at(
                api.TF_StringGetDataPointer(place), api.TF_StringGetSize(place)
            )
            for place in self._strings(tensor)
        ]
        return head, b"".join(texts), array("I", map(len, texts)).tobytes()


def _joined(
    tensors: list[tuple[dict[str, Any], bytes, bytes]],
) -> tuple[dict[str, Any], list[bytes]]:
    heads = [head for head, _, _ in tensors]
    return {"outputs": heads}, [blob for _, *both in tensors for blob in both]


def _texts(data: bytes, lengths: bytes) -> list[bytes]:
    counts = array("I")
    counts.frombytes(lengths)
    texts, start = [], 0
    for count in counts:
        texts.append(data[start : start + count])
        start += count
    return texts


def peak_bytes() -> int | None:
    """The most memory this process has held; None where the system does not say."""
    try:
        with open("/proc/self/status") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["VmHWM"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return None


def _load(job: dict[str, Any]) -> tuple[Model, dict[str, Any]]:
    api = Api(job["libraries"])
    for library in job["op_libraries"]:
        api.TF_LoadLibrary(library.encode(), api.status)
        api.check()
    before, began = peak_bytes(), time.perf_counter()
    model = Model(api, job["folder"])
    return model, {"seconds": time.perf_counter() - began, "before_bytes": before}


def main() -> None:
    """Loads what the first message names, then answers one call a message."""
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    job = read_message(stdin)
    if job is None:
        return
    try:
        model, facts = _load(job[0])
    except (RuntimeError, OSError, AttributeError) as error:
        write_message(stdout, {"error": str(error)})
        return
    write_message(stdout, {**facts, "peak_bytes": peak_bytes()})
    while (message := read_message(stdin)) is not None:
        try:
            head, blobs = model.run(*message)
        except RuntimeError as error:
            head, blobs = {"error": str(error)}, []
        write_message(stdout, {**head, "peak_bytes": peak_bytes()}, blobs)


if __name__ == "__main__":
    main()
