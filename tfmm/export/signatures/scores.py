"""Scores and coverage of a batch: as graph operations, and by the model in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.export.border import Arrays
from tfmm.export.border_ops import Tensors
from tfmm.export.inputs import score_names
from tfmm.ranking.heads import by_label

Known = Callable[[Any], Any]


def scores_of(
    ranker: Any, batch: Tensors, width: tf.Tensor, known: Known | None = None
) -> dict[str, tf.Tensor]:
    """What `rank` answers besides the ids.

    Args:
        ranker: The Keras model.
        batch: Its batch.
        width: How many candidates were sent; the batch may be wider.
        known: From where vectors stand to whether there is one; `ranker.known` when
            absent.

    Returns:
        `score` and `score_<label>` float32 `[B, N]`, 0 beyond `n_items`; `known` bool
        `[B, N]`; `history_known` float32 `[B]`, the share of the history's events
        whose item has a vector, 0 of no events.
    """
    known = known or ranker.known
    logits = by_label(ranker, ranker(batch, training=False))
    valid = tf.range(width) < batch["n_items"][:, None]
    found = {
        name: tf.where(valid, tf.sigmoid(tf.cast(x, tf.float32))[:, :width], 0.0)
        for name, x in zip(score_names(logits), logits.values(), strict=True)
    }
    shown = known(batch.get("item_vector", batch["item"]))
    past = known(batch.get("history_vector", batch["history_item"]))
    events = batch["n_history"]
    kept = tf.range(tf.shape(past)[1]) < events[:, None]
    count = tf.reduce_sum(tf.cast(kept & tf.cast(past, tf.bool), tf.float32), axis=1)
    share = count / tf.maximum(tf.cast(events, tf.float32), 1.0)
    return {
        **found,
        "known": valid & tf.cast(shown, tf.bool)[:, :width],
        "history_known": share,
    }


def scores_in_memory(
    ranker: Any, batch: Arrays, width: int, known: Known | None = None
) -> dict[str, np.ndarray]:
    """The same by the model in memory, in numpy."""
    known = known or ranker.known
    logits = by_label(ranker, ranker(dict(batch), training=False))
    valid = np.arange(width) < np.asarray(batch["n_items"])[:, None]
    shown = np.asarray(known(batch.get("item_vector", batch["item"])), bool)
    past = np.asarray(known(batch.get("history_vector", batch["history_item"])), bool)
    events = np.asarray(batch["n_history"])
    past = past & (np.arange(past.shape[1]) < events[:, None])
    found = {
        "known": valid & shown[:, :width],
        "history_known": (past.sum(1) / np.maximum(events, 1)).astype(np.float32),
    }
    for name, values in zip(score_names(logits), logits.values(), strict=True):
        score = 1 / (1 + np.exp(-np.asarray(values, np.float64)[:, :width]))
        found[name] = np.where(valid, score, 0).astype(np.float32)
    return found
