"""The work whose memory `scl_memory` measures, each case in a process of its own.

TensorFlow keeps what is freed for later use. Hence every case warms up with few rows
before its peak is taken: what it then adds is not hidden in room taken before.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.peak_memory import Peak, peak_of
from benchmarks.scl_cases import (
    TEMPERATURE,
    Size,
    fill_bank,
    fill_banks,
    key_blocks,
    pair_batch,
    scl_model,
    unit,
)

Loss = Callable[[Any, Any, Any, Any], Any]

FEW = 16
STEPS = 3


def step_peak(size: Size, pairs: int, chunk: int | None = None) -> list[Peak]:
    """Training steps of SCL with the `micro` tower, traced and the bank full."""
    import tensorflow as tf

    model = scl_model("micro", size, chunk=chunk)
    few, many = (
        tf.data.Dataset.from_tensors(pair_batch(size, count, hard=False))
        for count in (FEW, pairs)
    )
    data = few.concatenate(many)  # Of one shape, so that one graph does for both.
    model.fit(data.take(1), verbose=0, shuffle=False)
    fill_banks(model)
    steps = data.skip(1).repeat(STEPS)
    return [peak_of(lambda: model.fit(steps, verbose=0, shuffle=False))]


def loss_peak(size: Size, loss: Loss) -> list[Peak]:
    """A loss and its gradients, of vectors that are there already."""
    import tensorflow as tf

    rows = tf.TensorSpec([None, size.dimension])
    signature = [rows, rows, rows, tf.TensorSpec([None], tf.int32)]

    @tf.function(input_signature=signature)
    def gradients(query: Any, item: Any, bank: Any, groups: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([query, item])
            losses = loss(query, item, bank, groups)
        return tape.gradient(losses, [query, item])

    def inputs(pairs: int, count: int) -> list[Any]:
        query, item = (unit(pairs, size.dimension, seed) for seed in (1, 2))
        keys, groups = zip(*key_blocks(count, size.dimension), strict=True)
        found = [query, item, tf.concat(keys, 0), tf.concat(groups, 0)]
        return [tf.convert_to_tensor(x) for x in found]

    gradients(*inputs(FEW, FEW))
    given = inputs(size.loss_batch, size.loss_bank)
    return [peak_of(lambda: gradients(*given))]


def logsumexp_at_once(query: Any, item: Any, bank: Any, groups: Any) -> Any:
    """The formula as it stands, of one table of all similarities."""
    import tensorflow as tf

    own = tf.reduce_sum(query * item, axis=1) / TEMPERATURE
    return tf.reduce_logsumexp(_all_logits(query, item, bank), axis=1) - own


def softmax_at_once(query: Any, item: Any, bank: Any, groups: Any) -> Any:
    """The same with TensorFlow's fused softmax cross-entropy."""
    import tensorflow as tf

    logits = _all_logits(query, item, bank)
    labels = tf.range(tf.shape(query)[0])
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _all_logits(query: Any, item: Any, bank: Any) -> Any:
    import tensorflow as tf

    keys = tf.concat([item, bank], axis=0)
    return tf.matmul(query, keys, transpose_b=True) / TEMPERATURE


def of_library(chunk: int | None) -> Loss:
    """What SCL minimises; the items stand for the momentum copy's keys of them."""

    def loss(query: Any, item: Any, bank: Any, groups: Any) -> Any:
        from tfmm.pretrain import bank_nce, info_nce

        batch = info_nce(query, item, TEMPERATURE, chunk_size=chunk)
        return batch + bank_nce(
            query, item, TEMPERATURE, bank, groups, chunk_size=chunk
        )

    return loss


def bank_copies(size: Size) -> list[Peak]:
    """What a bank and the loss over it add: variables, reading them, tables."""
    from tfmm.pretrain.memory_bank import MemoryBank

    def new(count: int) -> Any:
        bank = MemoryBank(count, size.dimension)
        fill_bank(bank)
        return bank

    _loss_over(new(FEW))(2)
    banks: list[Any] = []
    variables = peak_of(lambda: banks.append(new(size.bank)))
    loss = _loss_over(banks[0])
    reading = peak_of(lambda: loss(2))
    return [variables, reading, peak_of(lambda: loss(size.micro_batch))]


def _loss_over(bank: Any) -> Callable[[int], Any]:
    """The loss of some pairs over a bank and its gradient, then the bank's update."""
    import tensorflow as tf

    from tfmm.pretrain import bank_nce

    rows = tf.TensorSpec([None, bank.dimension])
    signature = [rows, rows, tf.TensorSpec([None, 2], tf.int32)]

    @tf.function(input_signature=signature)
    def step(query: Any, item: Any, groups: Any) -> Any:
        keys, of_keys = (tf.convert_to_tensor(v) for v in (bank.keys, bank.groups))
        with tf.GradientTape() as tape:
            tape.watch(query)
            loss = bank_nce(query, item, TEMPERATURE, keys, of_keys, groups)
        gradient = tape.gradient(loss, query)
        with tf.control_dependencies([gradient]):
            bank.enqueue(item, groups[:, 0])
        return gradient

    def take(pairs: int) -> Any:
        query, item = (unit(pairs, bank.dimension, seed) for seed in (1, 2))
        return step(query, item, tf.ones((pairs, 2), tf.int32))

    return take


CASES: dict[str, Callable[[Size], list[Peak]]] = {
    "no_bank": lambda size: step_peak(replace(size, bank=0), size.micro_batch),
    "bank": lambda size: step_peak(size, size.micro_batch),
    "copies": bank_copies,
    "loss_logsumexp": lambda size: loss_peak(size, logsumexp_at_once),
    "loss_softmax": lambda size: loss_peak(size, softmax_at_once),
    "loss_whole": lambda size: loss_peak(size, of_library(None)),
    "loss_chunked": lambda size: loss_peak(size, of_library(size.chunk)),
    "step_whole": lambda size: step_peak(size, size.whole_batch),
    "step_chunked": lambda size: step_peak(size, size.whole_batch, size.chunk),
    "large_step": lambda size: step_peak(size, size.loss_batch, size.chunk),
    "large_step_small_chunks": lambda size: step_peak(
        size, size.loss_batch, size.small_chunk
    ),
}
