"""Reads a SavedModel's graph and refuses what TF Serving could not run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfmm.errors import TfmmError

MAX_GRAPH_BYTES = 50 << 20
MAX_STORED_RATIO = 1.1
SERVED_TAG = "serve"
INIT_SIGNATURE = "__saved_model_init_op"

_DTYPES = frozenset({"float32", "int32", "int64", "bool", "string"})
_PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
_COMPILED_OPS = ("Xla", "_Xla", "TRTEngineOp")
# Linked into every server since 2.13; later TF Text operations fail on servers < 2.20.
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
    return not TEXT_OPS.isdisjoint(operations(graph))


def load_saved_model(folder: Path) -> Any:
    """`tf.saved_model.load`, with TF Text's operations registered if they are used.

    Raises:
        TfmmError: If they are used and tensorflow-text is not installed.
    """
    if needs_text_ops(read_graph(folder)):
        try:
            import tensorflow_text  # noqa: F401
        except ImportError as error:
            raise TfmmError(
                "The graph uses TF Text operations, but tensorflow-text is missing. "
                f"Received: {error}. Install it: pip install tensorflow-text."
            ) from error
    return tf.saved_model.load(str(folder), tags=[SERVED_TAG])


def check_graph(folder: Path) -> None:
    """Refuses a SavedModel that a stock TF Serving could not load or run.

    Checks the size of the graph, its operations, the dtypes and ranks of its
    signatures and that every variable is stored once.

    Raises:
        TfmmError: At the first thing that would fail on the server.
    """
    graph = read_graph(folder)
    _check_size(folder)
    _check_operations(graph)
    for name, signature in signatures(graph).items():
        _check_signature(name, signature)
    _check_stored_once(folder, graph)


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def _check_size(folder: Path) -> None:
    size = (folder / "saved_model.pb").stat().st_size
    if size > MAX_GRAPH_BYTES:
        raise TfmmError(
            "The graph holds large constants. Expected: a saved_model.pb of at most "
            f"{MAX_GRAPH_BYTES} bytes. Received: {size}. Keep tables in variables, "
            "never in numpy arrays that a function captures."
        )


def _check_operations(graph: Any) -> None:
    found = operations(graph)
    known = {name for name in found if not _is_foreign(name)}
    if found - known:
        raise TfmmError(
            "The graph uses operations that a stock TF Serving lacks. "
            f"Received: {sorted(found - known)}. Use core TensorFlow operations or "
            "TF Text operations of version 2.12."
        )
    for node in _nodes(graph):
        if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b:
            raise TfmmError(
                "The graph demands XLA, which TF Serving switches off. Received: "
                f"`{node.name}`. Trace it without jit_compile=True."
            )


def _is_foreign(operation: str) -> bool:
    if operation in _PYTHON_OPS or operation.startswith(_COMPILED_OPS):
        return True
    if operation in TEXT_OPS:
        return False
    return not hasattr(tf.raw_ops, operation.lstrip("_")) or ">" in operation


def _check_signature(name: str, signature: Any) -> None:
    for alias, tensor in [*signature.inputs.items(), *signature.outputs.items()]:
        dtype = tf.as_dtype(tensor.dtype).name
        if dtype not in _DTYPES:
            raise TfmmError(
                f"Tensor `{alias}` of signature `{name}` cannot travel over REST. "
                f"Expected: one of {sorted(_DTYPES)}. Received: {dtype}. "
                "Cast it in the signature."
            )
        if tensor.tensor_shape.unknown_rank or not tensor.tensor_shape.dim:
            raise TfmmError(
                f"Tensor `{alias}` of signature `{name}` has no batch axis. "
                "Expected: a known rank of at least 1. Received: "
                f"{tf.TensorShape(tensor.tensor_shape)}. Give it a batch axis."
            )


def _check_stored_once(folder: Path, graph: Any) -> None:
    prefix = str(folder / "variables" / "variables")
    reader = tf.train.load_checkpoint(prefix)
    in_checkpoint = _bytes_of(
        (reader.get_variable_to_dtype_map()[name], shape)
        for name, shape in reader.get_variable_to_shape_map().items()
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    )
    in_graph = _bytes_of(
        (tf.as_dtype(node.attr["dtype"].type), tf.TensorShape(node.attr["shape"].shape))
        for node in graph.graph_def.node
        if node.op == "VarHandleOp"
    )
    if in_checkpoint > MAX_STORED_RATIO * in_graph:
        raise TfmmError(
            "Variables are stored more than once. "
            f"Expected: {in_graph} bytes. Received: {in_checkpoint} bytes. "
            "Save a plain tf.Module that holds each variable once."
        )


def _bytes_of(variables: Iterator[tuple[tf.DType, Any]]) -> int:
    return sum(
        dtype.size * tf.TensorShape(shape).num_elements() for dtype, shape in variables
    )
