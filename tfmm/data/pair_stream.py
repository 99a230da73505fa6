"""Pair records to batches, and the stream of all epochs' batches."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from tfmm.data import pair_order
from tfmm.data.epochs import Epochs, seed_of
from tfmm.data.item_batches import preprocess_parts
from tfmm.data.item_media import MEDIA, ItemMedia
from tfmm.data.pair_order import PairOrder
from tfmm.data.pair_records import Batch, pair_ids, parse_pairs
from tfmm.records.sources import SEARCH

Augment = Callable[..., tf.Tensor]
# By part and modality, the purpose of the draw of one of several media.
_DRAWS = {
    "item": {"image": pair_order.PICTURE, "text": pair_order.TITLE},
    "negative": {
        "image": pair_order.NEGATIVE_PICTURE,
        "text": pair_order.NEGATIVE_TITLE,
    },
}


@dataclass(frozen=True)
class Batches:
    """From serialized pairs to a batch; what chance decides is a function of place.

    Args:
        encoders: By modality.
        media: The items.
        vectors: float32 `[rows, D]` by catalog row, and bool `[rows]`: which exist.
        seed: Of all draws.
        training: Whether pictures and titles of items and negatives are drawn.
        augment: What pictures go through, with a seed.
        mask: What token ids go through, with a seed.
    """

    encoders: dict[str, Any]
    media: ItemMedia
    vectors: tuple[tf.Tensor, tf.Tensor] | None
    seed: int
    training: bool
    augment: Augment | None
    mask: Callable[..., tf.Tensor] | None

    def __call__(
        self, number: tf.Tensor, epoch: tf.Tensor, records: tf.Tensor
    ) -> Batch:
        def seed(purpose: int) -> tf.Tensor:
            return seed_of(self.seed, epoch, number, purpose)

        parsed = parse_pairs(records)
        result = pair_ids(parsed, self.media, seed(pair_order.NEGATIVE))
        adjust = {
            "image": self.augment
            and partial(self.augment, seed=seed(pair_order.AUGMENT)),
            "text": self.mask and partial(self.mask, seed=seed(pair_order.WORDS)),
        }
        searched = parsed["source"] == SEARCH
        for name in MEDIA:
            if name not in self.encoders:
                continue
            own = self.media.of(name, parsed["query_item"])
            parts = {"query": tf.where(searched, parsed[f"query_{name}"], own)}
            # Drawn alike, or how a medium was drawn would tell right from wrong.
            for part, purposes in _DRAWS.items():
                parts[part] = self._media_of(name, result[part], seed(purposes[name]))
            result |= preprocess_parts(name, self.encoders[name], parts, adjust[name])
        if self.vectors is not None:
            result |= self._vectors(parsed, result)
        return result

    def _media_of(self, name: str, rows: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The items' media: any of each in training, the items' own otherwise."""
        if self.training:
            return self.media.drawn(name, rows, seed)
        return self.media.of(name, rows)

    def _vectors(self, parsed: dict[str, Any], ids: Batch) -> Batch:
        assert self.vectors is not None
        table, present = self.vectors
        found = {}
        rows = {
            "query": tf.cast(parsed["query_item"], tf.int32),
            "item": ids["item"],
            "negative": ids["negative"],
        }
        for part, places in rows.items():
            known = tf.where(places < tf.shape(table)[0], places, 0)
            found[f"{part}_vector"] = tf.gather(table, known)
            found[f"has_{part}_vector"] = tf.gather(present, known)
        return found


@dataclass(frozen=True)
class Stream:
    """The batches of all epochs.

    Args:
        order: The records of an epoch.
        batch: From records to a batch.
        count: Number of pairs.
        batch_size: Pairs per batch.
        drop_remainder: Whether the last, smaller batch is left out.
        advance: Whether every iteration is another epoch.
    """

    order: PairOrder
    batch: Batches
    count: int
    batch_size: int
    drop_remainder: bool
    advance: bool

    def at(self, epoch: int, step: int) -> tf.data.Dataset:
        """The data set whose next iteration starts with that step of that epoch."""
        size = self.batch_size
        length = self.count // size if self.drop_remainder else -(-self.count // size)

        def rest(epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
            records = self.order(epoch).skip(first * size)
            batches = records.batch(size, drop_remainder=self.drop_remainder)
            return batches.enumerate(first).map(lambda number, x: (number, epoch, x))

        def finish(dataset: tf.data.Dataset) -> tf.data.Dataset:
            return dataset.map(self.batch, tf.data.AUTOTUNE, deterministic=True)

        facts = {
            "batch_size": size,
            "seed": self.batch.seed,
            "augmented": self.batch.augment is not None,
            "masked": self.batch.mask is not None,
        }
        return Epochs(
            rest,
            length,
            self.advance,
            finish,
            ahead=tf.data.AUTOTUNE,
            facts=facts,
            attributes={"num_pairs": self.count},
        ).at(epoch, step)
