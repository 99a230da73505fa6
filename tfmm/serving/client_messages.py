"""TF Serving's messages without TensorFlow, whose import takes ten seconds."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

_PACKAGE = "tensorflow"


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """Inside, the messages below `tensorflow.core` are imported, TensorFlow is not.

    They are files of their own, but Python runs `tensorflow/__init__.py` before it
    looks for them: ten seconds and hundreds of megabytes that a client has no use for.
    An empty package stands in for it meanwhile. What was imported stays, so TensorFlow
    has the same messages if it is imported later. Where it is imported already, nothing
    happens.

    Example:
        >>> with without_tensorflow():
        ...     from tensorflow.core.framework import tensor_pb2
        >>> tensor_pb2.TensorProto().ByteSize()
        0
    """
    spec = None if _PACKAGE in sys.modules else find_spec(_PACKAGE)
    if spec is None:
        yield
        return
    stand_in = ModuleType(_PACKAGE)
    stand_in.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[_PACKAGE] = stand_in
    try:
        yield
    finally:
        del sys.modules[_PACKAGE]
