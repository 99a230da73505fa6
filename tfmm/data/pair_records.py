"""Parsing pair records: groups, further positives, and the draw of a hard negative."""

from typing import Any

import tensorflow as tf

from tfmm.data.item_media import ItemMedia, pick, text_feature

Batch = dict[str, tf.Tensor]


def parse_pairs(records: tf.Tensor) -> dict[str, Any]:
    """Serialized pairs `[B]` as tensors; what a record lacks is 0 or empty."""
    ids = tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
    features = {
        "query_text": text_feature(),
        "query_image": text_feature(),
        "item": tf.io.FixedLenFeature([], tf.int64),
        "source": tf.io.FixedLenFeature([], tf.int64, 0),
        "query_item": tf.io.FixedLenFeature([], tf.int64, 0),
        "negatives": ids,
        "positives": ids,
    }
    return tf.io.parse_example(records, features)


def pair_ids(parsed: dict[str, Any], media: ItemMedia, seed: tf.Tensor) -> Batch:
    """Who is who in a batch of pairs; one hard negative of each is drawn.

    Items of the group of the bought item, of another item bought in the search or of
    the query's own item are never drawn.

    Args:
        parsed: What `parse_pairs` gave.
        media: The items.
        seed: int64 `[2]`, of the draw.

    Returns:
        `source`, `item`, `negative`, `group`, `query_group` and `negative_group`
        int32 `[B]`, `positives` int32 `[B, P]`.
    """
    group, query_group = (
        media.groups(parsed["item"]),
        media.groups(parsed["query_item"]),
    )
    further = tf.ragged.map_flat_values(media.groups, parsed["positives"])
    positives = further.to_tensor(0)
    own = tf.stack([group, query_group], axis=1)
    known = tf.reduce_any(positives[:, :, None] == own[:, None], axis=-1)
    positives = tf.where(known, 0, positives)
    taken = tf.concat([own, positives], axis=1)
    negative = _draw(parsed["negatives"], taken, media, seed)
    return {
        "source": tf.cast(parsed["source"], tf.int32),
        "item": tf.cast(parsed["item"], tf.int32),
        "negative": tf.cast(negative, tf.int32),
        "group": group,
        "query_group": query_group,
        "negative_group": media.groups(negative),
        "positives": positives,
    }


def _draw(
    negatives: tf.RaggedTensor, taken: tf.Tensor, media: ItemMedia, seed: tf.Tensor
) -> tf.Tensor:
    """One of each row's negatives outside the groups taken, 0 where there is none."""
    owners = negatives.value_rowids()
    groups = media.groups(negatives.values)
    wrong = tf.reduce_any(tf.gather(taken, owners) == groups[:, None], axis=1)
    counts = tf.math.unsorted_segment_sum(
        tf.cast(~wrong, tf.int64), owners, negatives.nrows()
    )
    starts = tf.cumsum(counts, exclusive=True)
    values = tf.concat([negatives.values[~wrong], [0]], axis=0)
    last = tf.size(values, out_type=tf.int64) - 1
    return tf.gather(values, tf.where(counts > 0, starts + pick(counts, seed), last))
