"""One tower call for several parts of a batch, absent rows left out."""

from typing import Any

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.recompute import encode_in_chunks

# Rows are encoded in multiples of this, so that the towers see few batch shapes.
_BLOCK = 16


def encode_parts(
    tower: Any,
    parts: dict[str, tuple[Any, tf.Tensor]],
    chunk_size: int | None = None,
    **options: Any,
) -> dict[str, tf.Tensor]:
    """Encodes queries, items and negatives with one call of their common tower.

    Rows that lack the modality cost nothing (up to padding to a multiple of 16).

    Args:
        tower: From preprocessed rows to float `[n, d]`.
        parts: By name, preprocessed rows `[B, ...]` (or a structure of such tensors,
            if the tower takes one) and a bool `[B]` that says which of them are there.
        chunk_size: How many rows the tower takes in one go. Their activations are not
            kept but computed again for the gradient: an effective batch as large as
            wanted in the memory of a small one, for the time of one more forward
            pass. The gradient is the same, dropout included; layers that look at the
            whole batch (batch normalisation in training) see one chunk each. Needs a
            tower without `add_loss`. `None` encodes all rows at once.
        **options: Further arguments of the tower, e.g. `training`.

    Returns:
        By part, float32 `[B, d]`, zeros in absent rows.

    Raises:
        TfmmError: If `chunk_size` is below 1.

    Example:
        >>> part = tf.constant([[1.0], [5.0]]), tf.constant([True, False])
        >>> encode_parts(lambda x: 2 * x, {"query": part})["query"].numpy().tolist()
        [[2.0], [0.0]]
    """
    if chunk_size is not None and chunk_size < 1:
        raise TfmmError(
            f"A chunk must hold at least one row. Received: chunk_size={chunk_size}. "
            "Choose what fits the memory, e.g. 64, or None for all rows at once."
        )
    rows = tf.nest.map_structure(
        lambda *tables: tf.concat(tables, axis=0),
        *[inputs for inputs, _ in parts.values()],
    )
    present = tf.concat([there for _, there in parts.values()], axis=0)
    total = tf.shape(present)[0]
    order = tf.argsort(tf.cast(~present, tf.int32), stable=True)
    count = tf.reduce_sum(tf.cast(present, tf.int32))
    blocks = tf.maximum((count + _BLOCK - 1) // _BLOCK, 1)
    chosen = order[: tf.minimum(blocks * _BLOCK, total)]
    rows = tf.nest.map_structure(lambda table: tf.gather(table, chosen), rows)
    if chunk_size is None:
        encoded = tf.cast(tower(rows, **options), tf.float32)
    else:
        encoded = encode_in_chunks(tower, rows, chunk_size, options)
    shape = tf.stack([total, tf.shape(encoded)[1]])
    vectors = tf.scatter_nd(chosen[:, None], encoded, shape)
    vectors = tf.where(present[:, None], vectors, 0.0)
    vectors.set_shape([None, encoded.shape[-1]])
    sizes = [tf.shape(there)[0] for _, there in parts.values()]
    return dict(zip(parts, tf.split(vectors, sizes), strict=True))
