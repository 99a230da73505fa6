"""`explain`: why candidates score as they do, from the served model itself."""

from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.export.border import as_bytes, ids_of, newest_events
from tfmm.export.border_ops import KeptHistory
from tfmm.export.inputs import Input
from tfmm.export.signatures.base import Example, Signature
from tfmm.ranking.explanation import NONE, explain_tensors

TOP = 5


class Explain(Signature):
    """The first label's score taken apart, as `RankingModel.explain` does.

    Answers `item_id`, `score` and `logit` `[B, N]`, `part_<interest>` float32
    `[B, N]`, and of each modality, T = 5 best first: `<modality>_position` int32
    `[B, N, T]` (in the history as sent; -1 where there is no further match),
    `<modality>_item_id` `[B, N, T]`, `<modality>_cosine` float32 `[B, N, T]` (0 where
    there is none), `<modality>_tier` int32 `[B, N, T]` (-1) and `<modality>_histogram`
    int32 `[B, N, tiers]`. Numbers beyond `n_items` are 0.
    """

    name = "explain"
    needs_ranking_model = True

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        return self.served.inputs()

    def __call__(self, **request: tf.Tensor) -> dict[str, tf.Tensor]:
        border, ids = self.served.border, request["item_id"]
        width = tf.shape(ids)[1]
        kept = border.kept_history(request, "history_item_id")
        why = explain_tensors(self.served.ranker, border.batch(request), TOP)
        valid = tf.range(width) < request["n_items"][:, None]
        found = {"item_id": tf.identity(ids)}
        found["score"] = tf.where(valid, tf.sigmoid(why.logits[:, :width]), 0.0)
        found["logit"] = _number(why.logits[:, :width])
        for name, part in why.parts.items():
            found[f"part_{_word(name)}"] = _number(part[:, :width])
        for name, match in why.matches.items():
            for key, values in _match(match, kept).items():
                found[f"{name}_{key}"] = values[:, :width]
            found[f"{name}_item_id"] = border.ids_of(match.rows)[:, :width]
        return found

    def given(self, example: Example) -> dict[str, np.ndarray]:
        return dict(example.request)

    def answer(self, example: Example) -> dict[str, np.ndarray]:
        width = np.shape(example.request["item_id"])[1]
        why = self.served.ranker.explain(example.batch, TOP)
        score = 1 / (1 + np.exp(-why.logits.astype(np.float64)))
        found = {"score": score.astype(np.float32), "logit": why.logits}
        found |= {f"part_{_word(name)}": part for name, part in why.parts.items()}
        skipped = newest_events(example.request, self.served.spec)[0][:, :1, None]
        for name, match in why.matches.items():
            at = match.positions
            ids = ids_of(_to_top(match.rows, 0), self.served.index)
            parts = {
                "position": _to_top(np.where(at < 0, NONE, at + skipped), NONE),
                "item_id": as_bytes(ids) if ids.dtype == object else ids,
                "cosine": _to_top(match.cosines, 0),
                "tier": _to_top(match.tiers, NONE),
                "histogram": match.histogram,
            }
            found |= {f"{name}_{key}": value for key, value in parts.items()}
        return {
            name: np.nan_to_num(value[:, :width])
            if value.dtype.kind == "f"
            else value[:, :width]
            for name, value in found.items()
        }


def _match(match: Any, kept: KeptHistory) -> dict[str, tf.Tensor]:
    skipped = kept.place[:, :1, None]
    position = match.positions
    return {
        "position": tf.where(position < 0, position, position + skipped),
        "cosine": _number(match.cosines),
        "tier": match.tiers,
        "histogram": match.histogram,
    }


def _number(values: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.math.is_nan(values), 0.0, values)


def _word(name: str) -> str:
    return name.replace(" ", "_")


def _to_top(values: np.ndarray, fill: int) -> np.ndarray:
    more = TOP - values.shape[-1]
    return np.pad(values, [(0, 0), (0, 0), (0, more)], constant_values=fill)
