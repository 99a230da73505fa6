"""The steps and losses that `scl_step` and `scl_memory` measure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

TEMPERATURE = 0.07
# Groups of the bank's keys, apart from those of the batch's items.
FIRST_GROUP = 10**6


@dataclass(frozen=True)
class Size:
    """What is measured.

    Args:
        bank: Keys of the memory bank, K.
        steps: Timed steps of every case.
        base_batch: Pairs per step of the `base` tower.
        micro_batch: Pairs per step of the `micro` tower, B.
        image_size: Side of the pictures.
        dimension: Length d of the vectors.
        towers: Which towers are timed.
        loss_batch: Pairs of the loss alone, and of the large step.
        loss_bank: Keys of the bank of the loss alone.
        whole_batch: Pairs of the step that is also taken without chunks.
        chunk: Rows that the chunked loss and step work on at once.
        small_chunk: The same, for least memory.
        judged: Whether the demanded bounds hold for this size.
    """

    bank: int = 196_800
    steps: int = 7
    base_batch: int = 16
    micro_batch: int = 64
    image_size: int = 64
    dimension: int = 128
    towers: tuple[str, ...] = ("micro", "base")
    loss_batch: int = 4096
    loss_bank: int = 32_768
    whole_batch: int = 1024
    chunk: int = 256
    small_chunk: int = 64
    judged: bool = True


SIZES = {
    "standard": Size(),
    "smoke": Size(
        bank=2_000,
        steps=2,
        micro_batch=16,
        towers=("micro",),
        loss_batch=256,
        loss_bank=2_000,
        whole_batch=128,
        chunk=64,
        small_chunk=16,
        judged=False,
    ),
}


def unit(count: int, dimension: int, seed: int) -> np.ndarray:
    """float32 `[count, dimension]`, of length 1."""
    draw = np.random.default_rng(seed)
    vectors = draw.standard_normal((count, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def key_blocks(count: int, dimension: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Keys and groups that fill a bank, in blocks that memory does not notice."""
    block = 4096
    for start in range(0, count, block):
        rows = min(block, count - start)
        groups = np.arange(start, start + rows, dtype=np.int32) + FIRST_GROUP
        yield unit(rows, dimension, start), groups


def pair_batch(size: Size, batch: int, hard: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (batch, size.image_size, size.image_size, 3)
    there = np.ones(batch, bool)
    parts = {
        name: rng.integers(0, 256, shape, np.uint8)
        for name in ("query_image", "item_image", "negative_image")
    }
    return {
        **parts,
        "has_query_image": there,
        "has_item_image": there,
        "has_negative_image": there & hard,
        "item": np.arange(2, batch + 2, dtype=np.int32),
        "negative": np.arange(batch + 2, 2 * batch + 2, dtype=np.int32) * hard,
    }


def plain_model(tower: str, size: Size, hard: bool) -> Any:
    """The step that everybody writes: one tower, the batch's items as negatives."""
    import keras
    import tensorflow as tf

    class InBatch(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.tower = _encoder(tower, size).tower

        def call(self, batch: Any, training: bool = False) -> Any:
            parts = [batch["query_image"], batch["item_image"]]
            parts += [batch["negative_image"]] if hard else []
            vectors = self.tower(tf.concat(parts, 0), training=training)
            return tf.split(vectors, len(parts))

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any
        ) -> Any:
            query, item = y_pred[0], y_pred[1]
            logits = tf.matmul(query, item, transpose_b=True) / TEMPERATURE
            labels = tf.range(tf.shape(logits)[0])
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            if hard:
                apart = tf.reduce_sum(query * (y_pred[2] - item), axis=-1)
                loss += tf.nn.relu(0.1 + apart)
            return tf.reduce_mean(loss)

    return _compiled(InBatch())


def scl_model(
    tower: str, size: Size, hard: bool = False, chunk: int | None = None
) -> Any:
    import tfmm

    return _compiled(
        tfmm.SCL(
            image=_encoder(tower, size),
            bank_size=size.bank,
            triplet_weight=1.0 if hard else 0.0,
            chunk_size=chunk,
        )
    )


def _encoder(tower: str, size: Size) -> Any:
    import tfmm

    return tfmm.encoders.image(
        tower, dimension=size.dimension, image_size=size.image_size
    )


def _compiled(model: Any) -> Any:
    """Both steps without XLA, which SCL's varying number of rows rules out."""
    import tfmm

    model.compile(optimizer=tfmm.encoders.AdamW(1e-4), jit_compile=False)
    return model


def fill_banks(model: Any) -> None:
    """Every slot occupied: what a step costs once training has gone on for a while."""
    for bank in getattr(model, "banks", {}).values():
        fill_bank(bank)


def fill_bank(bank: Any) -> None:
    for keys, groups in key_blocks(bank.size, bank.dimension):
        bank.enqueue(keys, groups)
