"""Reads a SavedModel's graph and refuses what TF Serving could not run."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfmm.errors import TfmmError

MAX_GRAPH_BYTES = 50 << 20
MAX_STORED_RATIO = 1.1
# The checkpoint's own object graph, beside the variables.
BOOKKEEPING_BYTES = 64 << 10
SERVER = "2.20"
NEWER_TEXT_FROM = (2, 20)
SERVED_TAG = "serve"
INIT_SIGNATURE = "__saved_model_init_op"

_DTYPES = frozenset({"float32", "int32", "int64", "bool", "string"})
_PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
_COMPILED_OPS = ("Xla", "_Xla", "TRTEngineOp")
# Linked into every server since 2.13; the others fail on servers < 2.20.
TEXT_OPS = frozenset(
    {
        "CaseFoldUTF8",
        "FastBertNormalize",
        "FastWordpieceTokenizeWithOffsets",
        "NormalizeUTF8",
        "NormalizeUTF8WithOffsetsMap",
        "RegexSplitWithOffsets",
        "SentencepieceOp",
        "SentencepieceTokenizeOp",
        "SentencepieceTokenizeWithOffsetsOp",
        "TFText>FastSentencepieceTokenize",
        "TFText>FastWordpieceDetokenize",
        "TFText>WhitespaceTokenizeWithOffsetsV2",
        "UnicodeScriptTokenizeWithOffsets",
        "WhitespaceTokenizeWithOffsets",
        "WordpieceTokenizeWithOffsets",
    }
)
# Of TF Text 2.20, without those that its prefix tells.
_NEWER_TEXT_OPS = frozenset(
    {
        "ConstrainedSequence",
        "FindSourceOffsets",
        "MaxSpanningTree",
        "PhraseTokenize",
        "SentenceFragments",
        "SentenceFragmentsV2",
        "SentencepieceDetokenizeOp",
        "SentencepieceIdToStringOp",
        "SentencepieceStringToIdOp",
        "SentencepieceVocabSizeOp",
        "SplitMergeTokenizeWithOffsets",
        "TokenizerFromLogits",
    }
)
_TEXT_PREFIX = "TFText>"


def read_graph(folder: Path) -> Any:
    """The MetaGraphDef that servers load."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    for graph in saved.meta_graphs:
        if SERVED_TAG in graph.meta_info_def.tags:
            return graph
    raise TfmmError(
        f"`{folder}` holds no graph tagged `{SERVED_TAG}`. "
        "Write it with tf.saved_model.save."
    )


def signatures(graph: Any) -> dict[str, Any]:
    """The callable signatures of a graph: name -> SignatureDef."""
    return {
        name: signature
        for name, signature in graph.signature_def.items()
        if name != INIT_SIGNATURE
    }


def operations(graph: Any) -> set[str]:
    """Names of all operation types, those in functions included.

    Calls of the graph's own functions are not operation types.
    """
    own = {function.signature.name for function in graph.graph_def.library.function}
    return {node.op for node in _nodes(graph)} - own


def needs_text_ops(graph: Any) -> bool:
    """Whether a graph uses operations of TF Text, which core TensorFlow lacks."""
    return any(_is_text(name) for name in operations(graph))


def _is_text(operation: str) -> bool:
    known = operation in TEXT_OPS or operation in _NEWER_TEXT_OPS
    return known or operation.startswith(_TEXT_PREFIX)


def load_saved_model(folder: Path) -> Any:
    """`tf.saved_model.load`, with TF Text's operations registered if they are used.

    Raises:
        TfmmError: If they are used and tensorflow-text is not installed.
    """
    register_operations(read_graph(folder))
    return tf.saved_model.load(str(folder), tags=[SERVED_TAG])


def register_operations(graph: Any) -> None:
    """Makes TF Text's operations known to this process if a graph uses them.

    Raises:
        TfmmError: If they are used and tensorflow-text is not installed.
    """
    if not needs_text_ops(graph):
        return
    try:
        import tensorflow_text  # noqa: F401
    except ImportError as error:
        raise TfmmError(
            "The graph uses TF Text operations, but tensorflow-text is missing. "
            f"Received: {error}. Install it: pip install tensorflow-text."
        ) from error


def check_graph(folder: Path, server: str = SERVER) -> dict[str, str]:
    """Refuses a SavedModel that a stock TF Serving could not load or run.

    Args:
        folder: A version's folder.
        server: Version of the server, e.g. `"2.19"`; from 2.20 on it has the newer TF
            Text operations.

    Returns:
        By check, what was seen.

    Raises:
        TfmmError: At the first thing that would fail on the server.
    """
    return {name: check(folder, server) for name, check in CHECKS.items()}


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def _attributes(graph: Any) -> Iterator[tuple[str, Any]]:
    """Names and attributes of all nodes and functions."""
    yield from ((node.name, node.attr) for node in _nodes(graph))
    for function in graph.graph_def.library.function:
        yield function.signature.name, function.attr


def _compiled(attributes: Any) -> bool:
    return "_XlaMustCompile" in attributes and attributes["_XlaMustCompile"].b


def _check_size(folder: Path, server: str) -> str:
    size = (folder / "saved_model.pb").stat().st_size
    if size > MAX_GRAPH_BYTES:
        raise TfmmError(
            "The graph holds large constants. Expected: a saved_model.pb of at most "
            f"{MAX_GRAPH_BYTES} bytes. Received: {size}. Keep tables in variables, "
            "never in numpy arrays that a function captures."
        )
    return f"{size:,} bytes of graph, at most {MAX_GRAPH_BYTES:,}"


def _check_operations(folder: Path, server: str) -> str:
    graph = read_graph(folder)
    found = operations(graph)
    newer_text = _numbers(server) >= NEWER_TEXT_FROM
    known = {name for name in found if not _is_foreign(name, newer_text)}
    if found - known:
        raise TfmmError(
            "The graph uses operations that a stock TF Serving lacks. "
            f"Received: {sorted(found - known)}, a server {server}. Use core "
            "TensorFlow operations or TF Text operations of version 2.12."
        )
    compiled = [
        name for name, attributes in _attributes(graph) if _compiled(attributes)
    ]
    if compiled:
        raise TfmmError(
            "The graph demands XLA, which TF Serving switches off. Received: "
            f"`{compiled[0]}`. Trace it without jit_compile=True."
        )
    written = graph.meta_info_def.tensorflow_version
    newer = _numbers(written) > _numbers(server)
    note = f"; written by the newer TensorFlow {written}" if newer else ""
    return f"{len(found)} kinds of operations, all of a server {server}{note}"


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version.

    Example:
        >>> _numbers("2.20.1")
        (2, 20)
    """
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _is_foreign(operation: str, newer_text: bool) -> bool:
    if operation in _PYTHON_OPS or operation.startswith(_COMPILED_OPS):
        return True
    if _is_text(operation):
        return operation not in TEXT_OPS and not newer_text
    return not hasattr(tf.raw_ops, operation.lstrip("_")) or ">" in operation


def _check_signatures(folder: Path, server: str) -> str:
    found = signatures(read_graph(folder))
    for name, signature in found.items():
        _check_signature(name, signature)
    return ", ".join(sorted(found))


def _check_signature(name: str, signature: Any) -> None:
    if "b64" in signature.inputs:
        raise TfmmError(
            "REST takes an input called `b64` for encoded bytes. Received: such an "
            f"input of signature `{name}`. Call it otherwise."
        )
    first = {
        t.tensor_shape.dim[0].size for t in signature.outputs.values() if _ranked(t)
    }
    if len(first - {-1}) > 1:
        raise TfmmError(
            f"The outputs of signature `{name}` have no common batch axis. Received: "
            f"first axes {sorted(first)}. Give every output the batch axis."
        )
    for alias, tensor in [*signature.inputs.items(), *signature.outputs.items()]:
        dtype = tf.as_dtype(tensor.dtype).name
        if dtype not in _DTYPES:
            raise TfmmError(
                f"Tensor `{alias}` of signature `{name}` cannot travel over REST. "
                f"Expected: one of {sorted(_DTYPES)}. Received: {dtype}. "
                "Cast it in the signature."
            )
        if alias.endswith("_bytes") and dtype != "string":
            raise TfmmError(
                f"Tensor `{alias}` of signature `{name}` holds no bytes. Expected: "
                f"string. Received: {dtype}. REST encodes what is called so; call it "
                "otherwise."
            )
        if not _ranked(tensor):
            raise TfmmError(
                f"Tensor `{alias}` of signature `{name}` has no batch axis. "
                "Expected: a known rank of at least 1. Received: "
                f"{tf.TensorShape(tensor.tensor_shape)}. Give it a batch axis."
            )


def _ranked(tensor: Any) -> bool:
    shape = tensor.tensor_shape
    return not shape.unknown_rank and bool(shape.dim)


def _check_stored_once(folder: Path, server: str) -> str:
    graph = read_graph(folder)
    files = [path.stat().st_size for path in (folder / "variables").glob("*.data-*")]
    in_files = sum(files)
    in_graph = sum(variable_bytes(graph).values())
    if in_files > MAX_STORED_RATIO * in_graph + BOOKKEEPING_BYTES:
        raise TfmmError(
            "Variables are stored more than once. "
            f"Expected: {in_graph} bytes. Received: {in_files} bytes. "
            "Save a plain tf.Module that holds each variable once."
        )
    return f"{in_files:,} bytes in files, {in_graph:,} of variables"


def variable_bytes(graph: Any) -> dict[str, int]:
    """Bytes of a graph's variables by dtype, e.g. `{"float32": 400, "int8": 6400}`."""
    found: dict[str, int] = {}
    for node in graph.graph_def.node:
        if node.op == "VarHandleOp":
            dtype = tf.as_dtype(node.attr["dtype"].type)
            numbers = tf.TensorShape(node.attr["shape"].shape).num_elements()
            found[dtype.name] = found.get(dtype.name, 0) + dtype.size * numbers
    return dict(sorted(found.items()))


CHECKS: dict[str, Callable[[Path, str], str]] = {
    "graph size": _check_size,
    "operations": _check_operations,
    "signatures": _check_signatures,
    "stored once": _check_stored_once,
}
