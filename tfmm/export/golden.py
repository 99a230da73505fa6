"""Golden requests: real requests of an export with what must be answered."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export.variations import first_half, rows_of
from tfmm.export.warmup import Answered, Call, request_of
from tfmm.records.tfrecord import read_records, write_records

FILE = Path("assets.extra") / "golden_requests"
TOLERANCE = 1e-5
MAX_BYTES = 16 << 20


def write_golden(folder: Path, model: str, answered: Sequence[Answered]) -> int:
    """Writes calls with their answers as TFRecords of PredictionLog.

    Of calls that take more than `MAX_BYTES` together, fewer requests each are kept.

    Args:
        folder: The version's folder.
        model: The model's name.
        answered: Calls with what the model in memory answers.

    Returns:
        How many were written.
    """
    kept = list(answered)
    while sum(map(len, records := [_record(model, found) for found in kept])) > (
        MAX_BYTES
    ) and any(rows_of(found.call) > 1 for found in kept):
        kept = [first_half(found) for found in kept]
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    return write_records(path, records)


def _record(model: str, found: Answered) -> bytes:
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(request_of(model, found.call))
    for name, value in found.outputs.items():
        proto = tf.make_tensor_proto(value)
        log.predict_log.response.outputs[name].CopyFrom(proto)
    return log.SerializeToString(deterministic=True)


def read_golden(folder: Path) -> Iterator[Answered]:
    """Yields a version's golden requests; none if it has no file."""
    from tensorflow_serving.apis import prediction_log_pb2

    path = folder / FILE
    if not path.is_file():
        return
    for record in read_records(path):
        log = prediction_log_pb2.PredictionLog.FromString(record).predict_log
        call = Call(log.request.model_spec.signature_name, _arrays(log.request.inputs))
        yield Answered(call, _arrays(log.response.outputs))


def _arrays(protos: Mapping[str, object]) -> dict[str, np.ndarray]:
    return {name: tf.make_ndarray(proto) for name, proto in protos.items()}


def difference(left: np.ndarray, right: np.ndarray) -> float:
    """The largest difference of two outputs; infinite where they do not compare.

    Args:
        left: An output.
        right: What it must be; floats compare by value, all else as a whole.

    Example:
        >>> difference(np.float32([0.5, 1.0]), np.float32([0.5, 0.75]))
        0.25
        >>> difference(np.array([1]), np.array([2]))
        inf
    """
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape:
        return float("inf")
    if right.dtype.kind != "f":
        return 0.0 if np.array_equal(left, right) else float("inf")
    if not right.size:
        return 0.0
    gaps = np.abs(left.astype(np.float64) - right)
    gaps[(left == right) | (np.isnan(left) & np.isnan(right))] = 0
    return float(np.nan_to_num(gaps, nan=np.inf).max())


def check_answer(got: Mapping[str, np.ndarray], rows: int, what: str) -> None:
    """Refuses outputs that a server could not batch or put into JSON.

    Args:
        got: Outputs of the SavedModel.
        rows: How many requests were asked.
        what: What was run, for the message.

    Raises:
        TfmmError: If an output is not one per request, or holds binary strings under
            a name that does not end in `_bytes`.
    """
    for name, values in got.items():
        if not values.ndim or len(values) != rows:
            raise TfmmError(
                f"Output `{name}` of {what} is not one per request. Expected: a first "
                f"axis of {rows}. Received: shape {values.shape}. Servers that batch "
                "would refuse it; give every output the batch axis."
            )
        if values.dtype == object and not name.endswith("_bytes"):
            _check_text(name, values, what)


def _check_text(name: str, values: np.ndarray, what: str) -> None:
    for value in values.flat:
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise TfmmError(
                f"Output `{name}` of {what} is not text. Expected: UTF-8, or a name "
                f"that ends in `_bytes`, which REST encodes. Received: {error.reason} "
                f"at byte {error.start}. Rename it `{name}_bytes`."
            ) from None


def check_equal(
    got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], what: str
) -> float:
    """Refuses outputs that differ from the model in memory.

    Args:
        got: Outputs of the SavedModel.
        expected: What they must be; floats to 1e-5, all else exactly.
        what: What was run, for the message.

    Returns:
        The largest difference.

    Raises:
        TfmmError: If an output is missing, of another shape or of other values.
    """
    largest = 0.0
    for name, right in expected.items():
        if name not in got:
            raise TfmmError(
                f"The exported {what} lacks the output `{name}`. Received: "
                f"{sorted(got)}. Export again."
            )
        found = difference(got[name], right)
        if not found <= TOLERANCE:
            raise TfmmError(
                f"The exported {what} differs from the model in memory in `{name}`. "
                f"Expected: {_excerpt(right)}. Received: {_excerpt(got[name])}. "
                "Please report it with the model's settings."
            )
        largest = max(largest, found)
    return largest


def _excerpt(array: np.ndarray) -> str:
    return f"shape {array.shape}, first values {array.ravel()[:5].tolist()}"
