"""One tower call for several parts of a batch, absent rows left out."""

from typing import Any

import tensorflow as tf

from tfmm.pretrain.pair_batch import Part

# Rows are encoded in multiples of this, so that the towers see few batch shapes.
_BLOCK = 16


def encode_parts(
    tower: Any, parts: dict[str, Part], **options: Any
) -> dict[str, tf.Tensor]:
    """Encodes queries, items and negatives with one call of their common tower.

    Rows that lack the modality cost nothing (up to padding to a multiple of 16).

    Args:
        tower: From preprocessed rows to float `[n, d]`.
        parts: By name, preprocessed rows `[B, ...]` and a bool `[B]` that says which
            of them are there.
        **options: Further arguments of the tower, e.g. `training`.

    Returns:
        By part, float32 `[B, d]`, zeros in absent rows.

    Example:
        >>> part = tf.constant([[1.0], [5.0]]), tf.constant([True, False])
        >>> encode_parts(lambda x: 2 * x, {"query": part})["query"].numpy().tolist()
        [[2.0], [0.0]]
    """
    rows = tf.concat([inputs for inputs, _ in parts.values()], axis=0)
    present = tf.concat([there for _, there in parts.values()], axis=0)
    total = tf.shape(rows)[0]
    order = tf.argsort(tf.cast(~present, tf.int32), stable=True)
    count = tf.reduce_sum(tf.cast(present, tf.int32))
    blocks = tf.maximum((count + _BLOCK - 1) // _BLOCK, 1)
    chosen = order[: tf.minimum(blocks * _BLOCK, total)]
    encoded = tf.cast(tower(tf.gather(rows, chosen), **options), tf.float32)
    shape = tf.stack([total, tf.shape(encoded)[1]])
    vectors = tf.scatter_nd(chosen[:, None], encoded, shape)
    vectors = tf.where(present[:, None], vectors, 0.0)
    vectors.set_shape([None, encoded.shape[-1]])
    sizes = [tf.shape(inputs)[0] for inputs, _ in parts.values()]
    return dict(zip(parts, tf.split(vectors, sizes), strict=True))
