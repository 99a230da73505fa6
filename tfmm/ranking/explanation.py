"""Why a candidate scores as it does: what it matched, what each interest adds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.gather import gather_positions
from tfmm.layers.simtier import sim_tier, tier_of
from tfmm.ranking.heads import by_label
from tfmm.ranking.interests.registry import name_of
from tfmm.ranking.modality_view import ModalityView

TIERS = 20
NONE = -1


class Matches(NamedTuple):
    """What the candidates found in the history by one modality's vectors.

    With T = min(top, L), best match first, the newer of equals first.

    Attributes:
        positions: int32 `[B, N, T]`, places in the history, 0 the oldest; -1 where
            there is no further pair of vectors.
        rows: int32 `[B, N, T]`, their catalog rows; 0 where there is none.
        cosines: float32 `[B, N, T]`; NaN where there is none.
        tiers: int32 `[B, N, T]`, SimTier's tier of each; -1 where there is none.
        histogram: int32 `[B, N, tiers]`, how many of the history items that interests
            see fall into each tier.
    """

    positions: Any
    rows: Any
    cosines: Any
    tiers: Any
    histogram: Any


@dataclass(frozen=True)
class Explanation:
    """A ranker's scores of a batch, taken apart.

    Attributes:
        label: the head explained.
        logits: float32 `[B, N]`; NaN from `n_items` on, like all parts.
        parts: interest -> float32 `[B, N]`, the logit minus the logit without it. They
            need not add up: interests share a tower.
        matches: modality -> `Matches`.
    """

    label: str
    logits: Any
    parts: Mapping[str, Any]
    matches: Mapping[str, Matches]


def explain(
    ranker: Any, batch: Mapping[str, Any], top: int = 5, label: str | None = None
) -> Explanation:
    """Takes the logits of a batch apart.

    An interest's part is found by ablation: the ranker scores once more with that
    interest's inputs set to 0. Nothing is trained or changed.

    Args:
        ranker: A `RankingModel`.
        batch: A request batch.
        top: Matched history items per candidate and modality. Defaults to 5.
        label: The head to explain. Defaults to the first.

    Raises:
        TfmmError: `top` below 1, or a label that no head predicts.
    """
    top = min(top, np.shape(batch["history_item"])[1])
    found = explain_tensors(ranker, batch, top, label)
    arrays = ops.convert_to_numpy
    return Explanation(
        found.label,
        arrays(found.logits),
        {name: arrays(part) for name, part in found.parts.items()},
        {name: Matches(*map(arrays, m)) for name, m in found.matches.items()},
    )


def explain_tensors(
    ranker: Any, batch: Mapping[str, Any], top: int = 5, label: str | None = None
) -> Explanation:
    """`explain` as tensors, for a graph; T is `top` however short the history is.

    Args:
        ranker: A `RankingModel`.
        batch: A request batch.
        top: Matched history items per candidate and modality. Defaults to 5.
        label: The head to explain. Defaults to the first.

    Raises:
        TfmmError: `top` below 1, or a label that no head predicts.
    """
    if top < 1:
        raise TfmmError(
            f"An explanation shows matched items. Received: top={top}. Ask for one or "
            "more."
        )
    heads = by_label(ranker, ranker(batch, training=False))
    if label is not None and label not in heads:
        raise TfmmError(
            "The ranker has no head for this label. Received: "
            f"label={label!r}, heads for {list(heads)}. Name one of these."
        )
    label = label or next(iter(heads))
    views = ranker.views(batch)
    logits = _valid(heads[label], views.item_mask)
    parts = {}
    for place, name in enumerate(_names(ranker.interests)):
        without = ranker(batch, training=False, without=(place,))
        parts[name] = logits - _valid(by_label(ranker, without)[label], views.item_mask)
    tiers = _tiers(ranker.interests) or TIERS
    history = views.whole.rows.history
    matches = {
        name: _matches(
            views.whole.modality(name), views.modality(name), history, top, tiers
        )
        for name in views.modalities
    }
    return Explanation(label, logits, parts, matches)


def _valid(logits: Any, valid: Any) -> Any:
    return ops.where(valid, ops.cast(logits, "float32"), float("nan"))


def _names(interests: Iterable[Any]) -> list[str]:
    """The interests' names; a second of one kind is called so."""
    names: list[str] = []
    for interest in interests:
        name = name_of(interest)
        count = sum(n == name or n.startswith(f"{name} ") for n in names)
        names.append(f"{name} {count + 1}" if count else name)
    return names


def _tiers(interests: Iterable[Any]) -> int:
    """Tiers of the first SimTier, that of a search included; 0 without."""
    for interest in interests:
        if name_of(interest) == "simtier":
            return interest.tiers
        if inner := _tiers(getattr(interest, "interests", ())):
            return inner
    return 0


def _matches(
    whole: ModalityView, seen: ModalityView, history: Any, top: int, tiers: int
) -> Matches:
    cosines = ops.where(whole.mask, whole.similarity, float("-inf"))
    # Of equal cosines `top_k` takes the first, here the newest.
    newest_first = ops.flip(cosines, axis=-1)
    padded = ops.pad(
        newest_first, [(0, 0), (0, 0), (0, top)], constant_values=float("-inf")
    )
    best, place = ops.top_k(padded, top)
    found = best > float("-inf")
    last = ops.shape(cosines)[-1] - 1
    positions = ops.where(found, last - ops.cast(place, "int32"), NONE)
    rows = gather_positions(
        history, ops.reshape(ops.maximum(positions, 0), (ops.shape(history)[0], -1))
    )
    tier = tier_of(ops.where(found, best, 0.0), tiers)
    counts = sim_tier(seen.similarity, seen.mask, tiers)
    return Matches(
        positions,
        ops.where(found, ops.reshape(rows, ops.shape(positions)), 0),
        ops.where(found, best, float("nan")),
        ops.where(found, ops.cast(tier, "int32"), NONE),
        ops.cast(counts, "int32"),
    )
