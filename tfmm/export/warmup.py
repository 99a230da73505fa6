"""Warm-up requests, which servers replay before a version goes live."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.records.tfrecord import read_records, write_records

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000


@dataclass(frozen=True)
class Call:
    """One call of a signature.

    Args:
        signature: The signature's name.
        inputs: Its inputs by name; strings as `object` arrays.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Answered:
    """A call with what must be answered.

    Args:
        call: The call.
        outputs: Its outputs by name; strings as `object` arrays of bytes.
    """

    call: Call
    outputs: Mapping[str, np.ndarray]


def write_warmup(folder: Path, model: str, calls: Iterable[Call]) -> int:
    """Writes calls as TFRecords of PredictionLog; returns how many.

    Args:
        folder: The version's folder.
        model: The model's name.
        calls: What to replay.

    Raises:
        TfmmError: If there are more than 1000, which makes TF Serving refuse the
            version.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    records = []
    for call in calls:
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.CopyFrom(request_of(model, call))
        records.append(log.SerializeToString(deterministic=True))
    if len(records) > MAX_RECORDS:
        raise TfmmError(
            f"TF Serving refuses a version with more than {MAX_RECORDS} warm-up "
            f"requests. Received: {len(records)}. Pass fewer candidate counts."
        )
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    return write_records(path, records)


def request_of(model: str, call: Call) -> Any:
    """A call as a PredictRequest."""
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = call.signature
    for name, value in call.inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def read_warmup(folder: Path) -> Iterator[Call]:
    """Yields the calls of a version's warm-up file; none if it has no file."""
    from tensorflow_serving.apis import prediction_log_pb2

    path = folder / FILE
    if not path.is_file():
        return
    for record in read_records(path):
        request = prediction_log_pb2.PredictionLog.FromString(record)
        request = request.predict_log.request
        inputs = {
            name: tf.make_ndarray(proto) for name, proto in request.inputs.items()
        }
        yield Call(request.model_spec.signature_name or "serving_default", inputs)
