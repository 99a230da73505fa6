"""InfoNCE over the keys of a large batch, in blocks, with a gradient of its own."""

from typing import Any

from keras import ops

from tfmm.pretrain.streaming import MASKED, similarities, walk

Tensor = Any


def chunked_nce(
    query: Tensor,
    keys: Tensor,
    temperature: Tensor,
    others: Tensor | None,
    positive: Tensor,
    mask: Tensor | None,
    further: Tensor | None,
    chunk_size: int,
) -> Tensor:
    """InfoNCE of each query without ever holding all `[B, M]` similarities.

    With `N = log sum_n exp(s_n)` over the negatives, the loss is the mean of
    `softplus(N - s_p)` over the positives, and its derivative by a similarity
    `w_n = exp(s_n - N) * mean_p sigmoid(N - s_p)` for a negative and
    `-sigmoid(N - s_p) / P` for one of P positives. Similarities are computed anew
    for the gradient.

    Args:
        query: float32 `[B, d]`.
        keys: float32 `[M, d]`.
        temperature: tau, a float32 scalar.
        others: float32 `[B]`, `log sum exp` of negatives elsewhere, or `None`.
        positive: int32 `[B]`, the place of each query's own key.
        mask: bool `[B, M]`, True for negatives, or `None` for all.
        further: bool `[B, M]`, True for further positives, or `None`.
        chunk_size: Keys per block.

    Returns:
        float32 `[B]`.
    """
    count = ops.shape(keys)[0]
    size = min(chunk_size, count) if isinstance(count, int) else None
    size = ops.minimum(chunk_size, count) if size is None else size
    if others is None:
        others = ops.zeros_like(query[:, 0]) + 2 * MASKED

    def kinds(start: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
        """Which keys of a block are positives, which are negatives."""
        places = start + ops.arange(size)
        positives = ops.equal(places[None], positive[:, None])
        if further is not None:
            positives = ops.logical_or(positives, columns(further, start))
        negatives = ops.logical_not(positives)
        if mask is not None:
            negatives = ops.logical_and(negatives, columns(mask, start))
        return ops.logical_and(positives, new), ops.logical_and(negatives, new)

    def columns(table: Tensor, start: Tensor) -> Tensor:
        return ops.slice(table, [0, start], [ops.shape(table)[0], size])

    def block(table: Tensor, start: Tensor) -> Tensor:
        return ops.slice(table, [start, 0], [size, table.shape[1]])

    @ops.custom_gradient
    def losses(query: Tensor, keys: Tensor, temperature: Tensor, others: Tensor) -> Any:
        scaled = query / temperature
        zeros = ops.zeros_like(others)

        def add_negatives(start: Tensor, new: Tensor, total: Tensor) -> Tensor:
            logits = similarities(scaled, block(keys, start))
            logits = ops.where(kinds(start, new)[1], logits, MASKED)
            here = ops.logsumexp(logits, axis=1)
            return ops.logsumexp(ops.stack([total, here], axis=1), axis=1)

        total = walk(add_negatives, count, size, others)

        def add_positives(start: Tensor, new: Tensor, state: Any) -> Any:
            loss, slope, number = state
            gap = total[:, None] - similarities(scaled, block(keys, start))
            positives = kinds(start, new)[0]
            return (
                loss + ops.sum(ops.where(positives, ops.softplus(gap), 0.0), axis=1),
                slope + ops.sum(ops.where(positives, ops.sigmoid(gap), 0.0), axis=1),
                number + ops.sum(ops.cast(positives, "float32"), axis=1),
            )

        loss, slope, number = walk(add_positives, count, size, (zeros, zeros, zeros))

        def gradient(*args: Any, upstream: Any = None) -> tuple[Tensor, ...]:
            upstream = (args[0] if upstream is None else upstream) / number

            def add_slopes(start: Tensor, new: Tensor, state: Any) -> Any:
                by_query, by_keys, by_log = state
                keys_here = block(keys, start)
                logits = similarities(scaled, keys_here)
                positives, negatives = kinds(start, new)
                by_logit = ops.where(
                    negatives, ops.exp(logits - total[:, None]) * slope[:, None], 0.0
                ) - ops.where(positives, ops.sigmoid(total[:, None] - logits), 0.0)
                by_logit = by_logit * upstream[:, None]
                here = ops.matmul(ops.transpose(by_logit), scaled)
                here = here + block(by_keys, start)
                return (
                    by_query + ops.matmul(by_logit, keys_here),
                    ops.slice_update(by_keys, [start, 0], here),
                    by_log + ops.sum(by_logit * logits),
                )

            start = ops.zeros_like(query), ops.zeros_like(keys), ops.sum(zeros)
            by_query, by_keys, by_log = walk(add_slopes, count, size, start)
            elsewhere = upstream * slope * ops.exp(others - total)
            return by_query / temperature, by_keys, -by_log / temperature, elsewhere

        return loss / number, gradient

    return losses(query, keys, temperature, others)
