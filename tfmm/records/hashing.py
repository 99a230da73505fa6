"""Hashed codes of values without a code of their own, the same everywhere.

The input pipeline, the export's graph and the job all call this one function.
"""

from typing import Any

from tfmm.records.spec import FIRST_CODE, UNKNOWN_CODE


def with_hashes(codes: Any, values: Any, known: int, buckets: int) -> Any:
    """Codes with a hashed one in the place of the one unknown code.

    The hashed codes come after the known ones: `2 + known + hash % buckets`, the hash
    being FarmHash's 64-bit fingerprint of the value's bytes, as TensorFlow's
    `to_hash_bucket_fast` has it on every machine. Values that share a code share an
    embedding; with H codes, two values do with probability 1 / H.

    Args:
        codes: int tensor of any shape; 1 where a value is unknown.
        values: string tensor of the same shape.
        known: Number of known values.
        buckets: H, the number of hashed codes; 0 leaves the codes as they are.

    Returns:
        Tensor of the shape and dtype of `codes`.

    Example:
        >>> with_hashes([2, 1, 0], ["red", "mauve", ""], 5, 10).numpy().tolist()
        [2, 12, 0]
    """
    # Imported here: whoever hashes nothing need not have it.
    import tensorflow as tf

    codes = tf.convert_to_tensor(codes)
    if not buckets:
        return codes
    hashed = tf.strings.to_hash_bucket_fast(values, buckets) + (FIRST_CODE + known)
    return tf.where(codes == UNKNOWN_CODE, tf.cast(hashed, codes.dtype), codes)
