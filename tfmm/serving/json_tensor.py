"""Predict requests and answers as JSON, in TF Serving's row and columnar formats."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmm.serving.json_text import json_texts
from tfmm.serving.json_values import is_base64, parse_object, shown, tensor_of
from tfmm.serving.status import StatusError, invalid

DEFAULT_SIGNATURE = "serving_default"
Dtypes = Mapping[str, str]


@dataclass(frozen=True)
class PredictRequest:
    """A parsed request.

    Args:
        signature: Name of the signature.
        inputs: Input name -> array; strings as `object` arrays of bytes.
        row_format: Whether it came as `instances`, so that it is answered in rows.
    """

    signature: str
    inputs: dict[str, np.ndarray]
    row_format: bool


def read_request(body: bytes, dtypes_of: Callable[[str], Dtypes]) -> PredictRequest:
    """Parses the body of a predict call.

    Args:
        body: The HTTP body.
        dtypes_of: Signature name -> its inputs' dtypes by name; it raises what the
            client shall read when model or signature are unknown.

    Raises:
        StatusError: INVALID_ARGUMENT if the body does not fit the signature.

    Example:
        >>> request = read_request(b'{"inputs": [1.5]}', lambda _: {"x": "float32"})
        >>> request.inputs
        {'x': array([1.5], dtype=float32)}
    """
    document = parse_object(body)
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    name = name or DEFAULT_SIGNATURE
    dtypes = dtypes_of(name)
    if not dtypes:
        raise invalid(f"Failed to get input map for signature: {name}")
    has_rows, has_columns = "instances" in document, "inputs" in document
    if has_rows and has_columns:
        raise invalid(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only "
            "one of 'inputs' or 'instances' keys to exist "
        )
    if not has_rows and not has_columns:
        raise invalid("Missing 'inputs' or 'instances' key")
    if has_rows:
        return PredictRequest(name, _rows(document["instances"], dtypes), True)
    return PredictRequest(name, _columns(document["inputs"], dtypes), False)


def _columns(value: Any, dtypes: Dtypes) -> dict[str, np.ndarray]:
    if not isinstance(value, dict) or is_base64(value):
        if len(dtypes) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        (name,) = dtypes
        return {name: tensor_of(value, dtypes[name])}
    for name in dtypes:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _named(name, value[name], dtypes) for name in dtypes}


def _named(name: str, value: Any, dtypes: Dtypes) -> np.ndarray:
    try:
        return tensor_of(value, dtypes[name])
    except StatusError as error:
        message = f"Failed to process input: {name}. Error: {error.message}"
        raise StatusError(error.code, message) from error


def _rows(rows: Any, dtypes: Dtypes) -> dict[str, np.ndarray]:
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {shown(rows)} Excepting 'instances' to be an list")
    if not rows:
        raise invalid("JSON Value: [] No values in 'instances' array")
    as_objects = isinstance(rows[0], dict) and not is_base64(rows[0])
    if not as_objects and len(dtypes) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    slices: dict[str, list[np.ndarray]] = {name: [] for name in dtypes}
    for number, row in enumerate(rows):
        _check_row(row, number, as_objects, dtypes)
        values = row if as_objects else {next(iter(dtypes)): row}
        for name, value in values.items():
            _append(slices[name], value, dtypes[name], number, name)
    return {name: np.stack(parts) for name, parts in slices.items()}


def _check_row(row: Any, number: int, as_objects: bool, dtypes: Dtypes) -> None:
    is_object = isinstance(row, dict) and not is_base64(row)
    if as_objects and not is_object:
        raise invalid(f"Expecting object but got list at item {number} of input list")
    if not as_objects and is_object:
        raise invalid(
            f"Expecting value/list but got object at item {number} of input list"
        )
    if as_objects and set(row) != set(dtypes):
        raise invalid(
            f"Failed to process element: {number} of 'instances' list. JSON object: "
            f"{shown(row)} keys must be equal to: {','.join(sorted(dtypes))}"
        )


def _append(
    parts: list[np.ndarray], value: Any, dtype: str, number: int, name: str
) -> None:
    where = f"Failed to process element: {number} key: {name} of 'instances' list."
    try:
        array = tensor_of(value, dtype)
    except StatusError as error:
        # Whatever the code was, as in TF Serving.
        raise invalid(f"{where} Error: {error.message}") from error
    if parts and parts[0].size != array.size:
        raise invalid(
            f"{where} Error: Expecting tensor size: {parts[0].size} but got: "
            f"{array.size}"
        )
    if parts and parts[0].shape != array.shape:
        raise invalid(
            f"{where} Error: Expecting shape {_shape(parts[0])} but got: "
            f"{_shape(array)}"
        )
    parts.append(array)


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"


def write_response(outputs: Mapping[str, np.ndarray], row_format: bool) -> bytes:
    """Writes a predict answer.

    Floats have six digits if these read back as the same number, else all that it
    takes. Strings of outputs whose name ends in `_bytes` are base64; others are written
    as they are.

    Args:
        outputs: Output name -> array; strings as `object` arrays of bytes.
        row_format: Whether to answer `predictions`, one a row, or `outputs`.

    Raises:
        StatusError: INVALID_ARGUMENT if rows are wanted of outputs without a common
            first axis, or JSON cannot express a dtype.

    Example:
        >>> write_response({"y": np.float32([0.1])}, row_format=True)
        b'{"predictions": [0.1]}'
    """
    text = _predictions(outputs) if row_format else _outputs(outputs)
    return text.encode("utf-8", "surrogateescape")


def _outputs(outputs: Mapping[str, np.ndarray]) -> str:
    texts = {name: json_texts(name, array)[0] for name, array in outputs.items()}
    if len(texts) == 1:
        (text,) = texts.values()
    else:
        text = _object(texts.items())
    return f'{{"outputs": {text}}}'


def _predictions(outputs: Mapping[str, np.ndarray]) -> str:
    _check_batch(outputs)
    columns = {name: json_texts(name, array, 1) for name, array in outputs.items()}
    if len(columns) == 1:
        (rows,) = columns.values()
    else:
        rows = [
            _object(zip(columns, row, strict=True))
            for row in zip(*columns.values(), strict=True)
        ]
    return f'{{"predictions": [{", ".join(rows)}]}}'


def _object(items: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in items) + "}"


def _check_batch(outputs: Mapping[str, np.ndarray]) -> None:
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
    sizes = {len(array) for array in outputs.values()}
    if len(sizes) > 1:
        raise invalid(f"Outputs have inconsistent batch size: {sorted(sizes)}")
