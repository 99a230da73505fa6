"""InfoNCE's sums over many keys, walked block by block.

Nothing of the size `[B, keys]` outlives a block, neither on the way there nor on the
way back. The walks are written in `keras.ops`, on TensorFlow one block at a time.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any

MASKED = -1e9
# How many similarities a block of the bank holds: 64 MiB of them. A batch of 64 meets
# the paper's whole bank in one block, a larger one walks it.
_BLOCK_SIZE = 2**24


def similarities(left: Tensor, right: Tensor) -> Tensor:
    """All dot products: `[B, d]` and `[M, d]` give float32 `[B, M]`."""
    left, right = ops.cast(left, "float32"), ops.cast(right, "float32")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # A transposed copy of the bank would be as large as the bank.
        return tf.matmul(left, right, transpose_b=True)
    return ops.matmul(left, ops.transpose(right))


def bank_logsumexp(
    query: Tensor,
    bank: Tensor,
    temperature: Tensor | float,
    bank_groups: Tensor | None = None,
    groups: Tensor | None = None,
    chunk_size: int | None = None,
) -> Tensor:
    """`log sum_k exp(q . k / tau)` over the bank keys that are negatives of q.

    The softmax-weighted mean of the keys, which is all that the gradient needs, is
    found on the way: there is no second walk for the gradient, and nothing of the
    bank's length to remember for it. No gradient flows into the bank, nor are there
    second derivatives.

    Args:
        query: float `[B, d]`.
        bank: float `[K, d]`.
        temperature: tau.
        bank_groups: int32 `[K]`, the group of each key; 0 marks an empty slot.
        groups: int32 `[B, E]`, groups that are no negatives of a query; 0 fills.
        chunk_size: How many keys to look at in one go. `None` looks at as many as
            make 16 million similarities.

    Returns:
        float32 `[B]`; about -1e9 where the bank holds no negative.

    Example:
        >>> import numpy as np
        >>> bank = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 0.0]])
        >>> found = bank_logsumexp(np.array([[1.0, 0.0]]), bank, 0.5,
        ...                        np.array([7, 8, 0]), np.array([[8]]))
        >>> float(found[0])  # 7 alone is a negative: 1 / 0.5
        2.0
    """
    query, fixed = ops.cast(query, "float32"), ops.cast(query, "float32")
    fixed = ops.stop_gradient(fixed / temperature)
    bank = ops.stop_gradient(ops.cast(ops.convert_to_tensor(bank), "float32"))
    rows, count = _length(query), _length(bank)
    size = _at_most(
        chunk_size or _maximum(_BLOCK_SIZE // _maximum(rows, 1), 256), count
    )
    if bank_groups is None:
        bank_groups, groups = ops.ones((count,), "int32"), None

    def body(start: Tensor, new: Tensor, state: Any) -> Any:
        highest, total, mean = state
        keys = _rows(bank, start, size)
        keys_groups = ops.where(new, _rows(bank_groups, start, size), 0)
        logits = similarities(fixed, keys)
        logits = ops.where(_excluded(keys_groups, groups), MASKED, logits)
        peak = ops.maximum(highest, ops.max(logits, axis=1))
        weights = ops.exp(logits - peak[:, None])
        shrink = ops.exp(highest - peak)
        total = total * shrink + ops.sum(weights, axis=1)
        return peak, total, mean * shrink[:, None] + ops.matmul(weights, keys)

    zeros = ops.zeros_like(fixed[:, 0])
    start = zeros + 2 * MASKED, zeros, ops.zeros_like(fixed)
    peak, total, mean = walk(body, count, size, start)
    # Its gradient is that of the logsumexp, its value is taken away again.
    line = ops.sum(query * (mean / total[:, None]), axis=1) / temperature
    return line - ops.stop_gradient(line) + peak + ops.log(total)


def walk(
    body: Callable[[Tensor, Tensor, Any], Any], count: Any, size: Any, state: Any
) -> Any:
    """`state = body(start, new, state)` for each block of `size` of `count` places.

    The last block ends with the last place and may overlap the one before it: `new`,
    bool `[size]`, is False for what was already seen.
    """

    def step(number: Tensor, state: Any) -> Any:
        start = ops.minimum(number * size, count - size)
        return body(start, start + ops.arange(size) >= number * size, state)

    blocks = (count + size - 1) // size
    if isinstance(blocks, int) and blocks == 1:
        return step(ops.convert_to_tensor(0, "int32"), state)
    if keras.backend.backend() != "tensorflow":
        return ops.fori_loop(0, blocks, step, state)
    import tensorflow as tf

    return tf.while_loop(
        lambda number, _: number < blocks,
        lambda number, state: (number + 1, step(number, state)),
        (tf.constant(0), state),
        parallel_iterations=1,  # Several blocks at once would need their memory too.
    )[1]


def any_equal(rows: Tensor, values: Tensor) -> Tensor:
    """Which values a row lists, column by column, so that E costs no memory.

    Args:
        rows: int `[B, E]`.
        values: int `[K]`.

    Returns:
        bool `[B, K]`.

    Example:
        >>> import numpy as np
        >>> any_equal(np.array([[1, 2], [3, 0]]), np.array([3, 2, 1])).numpy().tolist()
        [[False, True, True], [True, False, False]]
    """
    rows = ops.cast(rows, values.dtype)

    def add(column: Tensor, found: Tensor) -> Tensor:
        listed = ops.slice(rows, [0, column], [ops.shape(rows)[0], 1])
        return ops.logical_or(found, ops.equal(listed, values[None, :]))

    none = ops.zeros((ops.shape(rows)[0], ops.shape(values)[0]), "bool")
    return ops.fori_loop(0, ops.shape(rows)[1], add, none)


def _excluded(keys_groups: Tensor, groups: Tensor | None) -> Tensor:
    """bool `[B or 1, K]`: empty slots, and keys of a query's own groups."""
    empty = ops.equal(keys_groups, 0)[None, :]
    if groups is None:
        return empty
    return ops.logical_or(empty, any_equal(groups, keys_groups))


def _rows(table: Tensor, start: Tensor, size: Any) -> Tensor:
    begin = [start] + [0] * (len(table.shape) - 1)
    return ops.slice(table, begin, [size, *table.shape[1:]])


def _length(table: Tensor) -> Any:
    return ops.shape(table)[0]


def _at_most(size: Any, count: Any) -> Any:
    if isinstance(size, int) and isinstance(count, int):
        return max(min(size, count), 1)
    return ops.maximum(ops.minimum(size, count), 1)


def _maximum(left: Any, right: int) -> Any:
    return max(left, right) if isinstance(left, int) else ops.maximum(left, right)
