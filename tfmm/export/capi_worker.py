"""Runs a SavedModel through TensorFlow's C API, without TensorFlow's Python.

This is the code path of TF Serving: the C++ loader and `Session::Run` by tensor name,
with XLA switched off as the server does. It runs as a script of its own, reads one
JSON job from standard input and writes one JSON answer; it imports nothing beyond the
standard library.
"""

import base64
import ctypes
import json
import sys
from typing import Any

STRING = 7
STRING_BYTES = 24
DISABLE_XLA = "_ZN10tensorflow21DisableXlaCompilationEv"


class Output(ctypes.Structure):
    """TF_Output: one output of an operation."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Api:
    """The few C functions that loading and running takes.

    Args:
        libraries: Paths of libtensorflow_framework and libtensorflow_cc.
    """

    _POINTERS = (
        "TF_NewStatus",
        "TF_NewGraph",
        "TF_NewSessionOptions",
        "TF_LoadSessionFromSavedModel",
        "TF_GraphOperationByName",
        "TF_AllocateTensor",
        "TF_TensorData",
        "TF_LoadLibrary",
        "TF_StringGetDataPointer",
    )
    _SIZES = ("TF_TensorByteSize", "TF_StringGetSize", "TF_Dim")

    def __init__(self, libraries: list[str]) -> None:
        loaded = [ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL) for path in libraries]
        self._framework, self._core = loaded
        self.status = self("TF_NewStatus")
        if hasattr(self._core, DISABLE_XLA):
            getattr(self._core, DISABLE_XLA)()

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Calls a C function; Python integers travel as pointers or int64."""
        library = self._core if hasattr(self._core, name) else self._framework
        function = getattr(library, name)
        function.restype = ctypes.c_int
        if name in self._POINTERS:
            function.restype = ctypes.c_void_p
        elif name in self._SIZES:
            function.restype = ctypes.c_int64
        return function(
            *(ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments)
        )

    def check(self) -> None:
        """Raises the status of the last call unless it was OK."""
        code = self("TF_GetCode", self.status)
        if code:
            function = self._framework.TF_Message
            function.restype = ctypes.c_char_p
            message = function(ctypes.c_void_p(self.status)).decode()
            raise RuntimeError(f"{code}: {message}")


def load(api: Api, folder: str) -> tuple[int, int]:
    """Loads a SavedModel; returns session and graph."""
    graph = api("TF_NewGraph")
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = api(
        "TF_LoadSessionFromSavedModel",
        api("TF_NewSessionOptions"),
        None,
        folder.encode(),
        tags,
        ctypes.c_int(1),
        graph,
        None,
        api.status,
    )
    api.check()
    return session, graph


def run(api: Api, session: int, graph: int, call: dict[str, Any]) -> list[Any]:
    """Runs one call: feeds tensors by name, fetches tensors by name."""
    feeds, fetches = call["inputs"], call["outputs"]
    fed = (Output * len(feeds))(*(_output(api, graph, f) for f in feeds))
    fetched = (Output * len(fetches))(*(_output(api, graph, f) for f in fetches))
    values = (ctypes.c_void_p * len(feeds))(*(_tensor(api, f) for f in feeds))
    results = (ctypes.c_void_p * len(fetches))()
    api(
        "TF_SessionRun",
        session,
        None,
        fed,
        values,
        ctypes.c_int(len(feeds)),
        fetched,
        results,
        ctypes.c_int(len(fetches)),
        None,
        ctypes.c_int(0),
        None,
        api.status,
    )
    api.check()
    return [_read(api, tensor) for tensor in results]


def _tried(api: Api, session: int, graph: int, call: dict[str, Any]) -> Any:
    """The outputs, or the message of what fails."""
    try:
        return run(api, session, graph, call)
    except RuntimeError as error:
        return str(error)


def _output(api: Api, graph: int, tensor: dict[str, Any]) -> Output:
    name, _, index = tensor["name"].partition(":")
    operation = api("TF_GraphOperationByName", graph, name.encode())
    if not operation:
        raise RuntimeError(f"the graph has no operation {name}")
    return Output(operation, int(index or 0))


def _tensor(api: Api, value: dict[str, Any]) -> int:
    shape = (ctypes.c_int64 * len(value["shape"]))(*value["shape"])
    data = [base64.b64decode(text) for text in value["data"]]
    is_string = value["dtype"] == STRING
    size = STRING_BYTES * len(data) if is_string else len(data[0])
    tensor = api(
        "TF_AllocateTensor",
        ctypes.c_int(value["dtype"]),
        shape,
        ctypes.c_int(len(shape)),
        ctypes.c_size_t(size),
    )
    start = api("TF_TensorData", tensor)
    if not is_string:
        if size:
            ctypes.memmove(start, data[0], size)
        return tensor
    for place, text in enumerate(data):
        address = start + place * STRING_BYTES
        api("TF_StringInit", address)
        api("TF_StringCopy", address, text, ctypes.c_size_t(len(text)))
    return tensor


def _read(api: Api, tensor: Any) -> dict[str, Any]:
    rank = api("TF_NumDims", tensor)
    shape = [api("TF_Dim", tensor, ctypes.c_int(axis)) for axis in range(rank)]
    dtype = api("TF_TensorType", tensor)
    size = api("TF_TensorByteSize", tensor)
    start = api("TF_TensorData", tensor)
    if dtype == STRING:
        places = range(start, start + size, STRING_BYTES) if size else []
        data = [_string(api, place) for place in places]
    else:
        data = [ctypes.string_at(start, size) if size else b""]
    encoded = [base64.b64encode(part).decode() for part in data]
    return {"dtype": dtype, "shape": shape, "data": encoded}


def _string(api: Api, place: int) -> bytes:
    size = api("TF_StringGetSize", place)
    return ctypes.string_at(api("TF_StringGetDataPointer", place), size)


def main() -> None:
    """Answers one job: libraries, folder, calls."""
    job = json.load(sys.stdin)
    answer: dict[str, Any]
    try:
        api = Api(job["libraries"])
        for library in job["op_libraries"]:
            api("TF_LoadLibrary", library.encode(), api.status)
            api.check()
        session, graph = load(api, job["folder"])
        answer = {"results": [_tried(api, session, graph, c) for c in job["calls"]]}
    except (RuntimeError, OSError) as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
