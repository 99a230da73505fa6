"""Values of a client's requests and answers, to JSON and back."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmm.errors import TfmmError

_INTEGERS = {"DT_INT32", "DT_INT64"}
_DTYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_BOOL": np.bool_,
}


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


def from_json(value: Any, dtype: str | None = None) -> np.ndarray:
    """An output as an array.

    Args:
        value: What the server sent.
        dtype: What the output is, e.g. `"DT_FLOAT"`; by the look of it when absent or
            another than numbers that servers send.

    Example:
        >>> from_json([1, 2], "DT_FLOAT").dtype, from_json([{"b64": "eQ=="}])
        (dtype('float32'), array([b'y'], dtype=object))
    """
    if dtype == "DT_STRING" or (dtype is None and _is_text(value)):
        return np.array(_texts(value), object)
    return np.asarray(value, _DTYPES.get(dtype or ""))


def _is_text(value: Any) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, str | dict)


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(part) for part in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


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


def check_one_each(given: Mapping[str, Sequence[Any]], count: int, of: str) -> None:
    """Refuses values that are not as many as what they belong to.

    Args:
        given: Input name -> values.
        count: How many there must be.
        of: What they belong to, for the message.

    Raises:
        TfmmError: More or fewer values.
    """
    for name, values in given.items():
        if len(values) != count:
            raise TfmmError(
                f"`{name}` takes one value per {of}. Expected: {count}. "
                f"Received: {len(values)}. Give as many."
            )


def complete(
    model: str,
    wanted: Mapping[str, tuple[str, int]],
    given: Mapping[str, Any],
    events: int,
    candidates: int,
) -> dict[str, Any]:
    """A request's inputs, with what is missing in the place of what is not given.

    Args:
        model: The model's name, for the message.
        wanted: Input name -> dtype and rank, all that the model takes.
        given: Input name -> value.
        events: How many events there are; a history of none is one column wide.
        candidates: How many candidates there are.

    Raises:
        TfmmError: A value that the model does not take, or no `base_score` for one
            that starts from it.
    """
    unknown = sorted(set(given) - set(wanted))
    if unknown:
        raise TfmmError(
            f"`{model}` takes no input of this name. Received: {unknown}. "
            f"Expected some of: {sorted(wanted)}."
        )
    if "base_score" in wanted and "base_score" not in given:
        raise TfmmError(
            f"`{model}` starts from another model's score. Received: no `base_score`. "
            "Give that model's probability of every candidate."
        )
    inputs = {}
    for name, (dtype, rank) in wanted.items():
        missing = "" if dtype == "DT_STRING" else 0
        width = max(events, 1) if name.startswith("history_") else candidates
        value = given.get(name, [[missing] * width if rank > 1 else missing])
        inputs[name] = typed(value, dtype, name)
    return inputs
