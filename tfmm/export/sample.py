"""Sample calls: real requests cut to other sizes, and a drawn picture for encoders."""

import struct
import zlib
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.export.border import Arrays

_SIDE = 32


def with_candidates(request: Arrays, count: int) -> dict[str, np.ndarray]:
    """The first request of a batch with its candidates repeated or cut to `count`.

    Example:
        >>> request = {"item_id": np.array([[7, 8]]), "n_items": np.array([2])}
        >>> with_candidates(request, 3)["item_id"].tolist()
        [[7, 8, 7]]
    """
    one = {name: value[:1] for name, value in request.items()}
    width = one["item_id"].shape[1]
    valid = max(1, int(one["n_items"][0]))
    place = np.arange(count) % min(valid, width) if width else np.zeros(0, int)
    for name, value in one.items():
        if name in ("item_id", "base_score") or name.startswith("candidate_"):
            one[name] = value[:, place]
    one["n_items"] = np.array([len(place)], np.int32)
    return one


def picture_sample(signature: Any) -> dict[str, np.ndarray]:
    """One input for an item encoder: a drawn PNG and a short title.

    Args:
        signature: The SignatureDef; every input whose name ends in `_bytes` gets the
            picture, every other string the title, all else zeros.
    """
    sample = {}
    for name, tensor in signature.inputs.items():
        dtype = tf.as_dtype(tensor.dtype)
        shape = [1] * len(tensor.tensor_shape.dim)
        if dtype == tf.string:
            value = picture() if name.endswith("_bytes") else b"a red shirt"
            sample[name] = np.full(shape, value, object)
        else:
            sample[name] = np.zeros(shape, dtype.as_numpy_dtype)
    return sample


def picture() -> bytes:
    """A small PNG with a colour gradient."""
    ramp = np.linspace(0, 255, _SIDE).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[None], ramp[:, None], np.uint8(90)), -1)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc
