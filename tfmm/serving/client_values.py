"""Values of a client's requests and answers, to JSON and back."""

import base64
from typing import Any

import numpy as np

from tfmm.errors import TfmmError

_INTEGERS = {"DT_INT32", "DT_INT64"}


def to_json(value: Any) -> Any:
    """Arrays as lists, bytes as base64.

    Example:
        >>> to_json([np.array([1, 2]), b"y"])
        [[1, 2], {'b64': 'eQ=='}]
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    return value


def from_json(value: Any) -> np.ndarray:
    """An output as an array; servers send float32."""
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def typed(value: Any, dtype: str, name: str) -> Any:
    """Numbers as text where the model takes text, and the reverse.

    Args:
        value: A value, or nested lists of them.
        dtype: What the model takes, e.g. `"DT_STRING"`.
        name: The input's name, for the message.

    Raises:
        TfmmError: If a text is no such number.

    Example:
        >>> typed([["1", 2]], "DT_INT64", "item_id")
        [[1, 2]]
    """
    if isinstance(value, list):
        return [typed(part, dtype, name) for part in value]
    if dtype == "DT_STRING":
        return value if isinstance(value, str) else str(value)
    if not isinstance(value, str):
        return value
    try:
        return int(value) if dtype in _INTEGERS else float(value)
    except ValueError as error:
        raise TfmmError(
            f"`{name}` takes {'whole ' if dtype in _INTEGERS else ''}numbers. "
            f"Received: {value!r}. "
            "Send the ids and values of the tables the model was trained on."
        ) from error
