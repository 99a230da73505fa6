"""The one way to read rows of a table."""

from typing import Any

import keras
from keras import ops


def gather_rows(table: Any, ids: Any) -> Any:
    """Gathers rows of a table without reading, copying or casting the rest of it.

    On TensorFlow this is a `ResourceGather` on the variable, whose gradient is sparse
    (`tf.IndexedSlices`); `keras.ops.take` would first read the whole table, which
    becomes a full copy per step once the table is being trained. Elsewhere it is
    `keras.ops.take`.

    Args:
        table: A `keras.Variable` `[rows, ...]` of any dtype, made with
            `autocast=False` so that mixed precision does not cast it as a whole.
        ids: int tensor of any shape with values in `[0, rows)`.

    Returns:
        Tensor `[*ids.shape, ...]` of the table's dtype.

    Example:
        >>> table = keras.Variable([[0.0], [1.0], [2.0]], autocast=False)
        >>> gather_rows(table, [[2, 0]]).shape == (1, 2, 1)
        True
    """
    value = table.value if isinstance(table, keras.Variable) else table
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(_of_this_replica(value), ids)
    return ops.take(value, ops.convert_to_tensor(ids), axis=0)


def gather_positions(values: Any, positions: Any) -> Any:
    """Gathers along the last axis, row by row.

    Args:
        values: tensor `[..., L]` of any dtype.
        positions: int tensor `[..., K]` with the same leading axes, in `[0, L)`.

    Returns:
        Tensor `[..., K]` of the dtype of `values`.

    Example:
        >>> newest = gather_positions([[5, 6, 7], [8, 9, 0]], [[2], [1]])
        >>> ops.convert_to_numpy(newest).tolist()
        [[7], [9]]
    """
    values = ops.convert_to_tensor(values)
    positions = ops.convert_to_tensor(positions)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(values, positions, batch_dims=len(values.shape) - 1)
    return ops.take_along_axis(values, positions, axis=-1)


def gather_distinct(embed: Any, ids: Any) -> Any:
    """Embeds every distinct id once, then hands its row to all who asked for it.

    With many repetitions the tables' gradients have fewer rows. On backends without
    tensors of unknown length it is `embed(ids)`.

    Args:
        embed: A function or layer from int ids `[n]` to float rows `[n, d]`.
        ids: int tensor of any shape.

    Returns:
        float tensor `[*ids.shape, d]`.

    Example:
        >>> embed = lambda ids: ops.cast(ids, "float32")[:, None]
        >>> rows = gather_distinct(embed, ops.array([[7, 7]]))
        >>> ops.convert_to_numpy(rows).tolist()
        [[[7.0], [7.0]]]
    """
    if keras.backend.backend() != "tensorflow":
        return ops.reshape(embed(ops.reshape(ids, (-1,))), (*ops.shape(ids), -1))
    import tensorflow as tf

    distinct, place = tf.unique(tf.reshape(ids, [-1]))
    rows = embed(distinct)
    return tf.reshape(tf.gather(rows, place), [*ops.shape(ids), rows.shape[-1]])


def _of_this_replica(variable: Any) -> Any:
    """The replica's own copy of a mirrored variable: `tf.gather` reads all of that."""
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return variable
    copies = replica.strategy.experimental_local_results(variable)
    number = tf.get_static_value(replica.replica_id_in_sync_group)
    return variable if number is None else copies[number % len(copies)]
