"""Test requests kept as examples: scores, labels, and why they score so."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfmm.ranking import Explanation, Matches

REQUESTS = 4
MATCHES = 3


def example_requests(ranker: Any, requests: Iterable[Any]) -> list[dict[str, Any]]:
    """The first requests with a long history, a positive and unlike candidates.

    Args:
        ranker: A trained `RankingModel`.
        requests: Batches; only the first is read.

    Returns:
        Plain JSON: `user` (keyed hash), `label` (the head's), `history` (catalog rows)
        and `items`, each with `row`, `label`, `score`, `known`, `parts` (interest ->
        logit minus the logit without it) and `matches` (modality -> list of
        `{row, times, cosine, tier}`, best first, every item once).
    """
    batch = {name: np.asarray(value) for name, value in next(iter(requests)).items()}
    clicked = batch[f"label_{ranker.labels[0]}"].any(1)
    interest = batch["n_history"] * clicked + batch["n_items"]
    places = np.argsort(-interest, kind="stable")[:REQUESTS]
    chosen = {name: value[places] for name, value in batch.items()}
    why = ranker.explain(chosen, top=chosen["history_item"].shape[1])
    known = np.asarray(ranker.known(chosen["item"]))
    return [_request(chosen, why, known, place) for place in range(len(places))]


def _request(
    batch: Mapping[str, np.ndarray], why: Explanation, known: np.ndarray, place: int
) -> dict[str, Any]:
    labels = batch[f"label_{why.label}"]
    score = 1 / (1 + np.exp(-why.logits[place].astype(np.float64)))
    items = [
        {
            "row": int(batch["item"][place, i]),
            "label": float(labels[place, i]),
            "score": float(score[i]),
            "known": bool(known[place, i]),
            "parts": {name: float(part[place, i]) for name, part in why.parts.items()},
            "matches": {
                name: _matches(match, place, i) for name, match in why.matches.items()
            },
        }
        for i in range(batch["n_items"][place])
    ]
    history = batch["history_item"][place, : batch["n_history"][place]]
    return {
        "user": f"{int(batch['user_key'][place]) & (2**64 - 1):016x}",
        "label": why.label,
        "history": history.tolist(),
        "items": items,
    }


def _matches(match: Matches, place: int, item: int) -> list[dict[str, Any]]:
    """The items matched best, each once, with how often the history has it."""
    valid = match.positions[place, item] >= 0
    rows, first, times = np.unique(
        match.rows[place, item][valid], return_index=True, return_counts=True
    )
    best = np.argsort(first)[:MATCHES]
    cosines, tiers = match.cosines[place, item], match.tiers[place, item]
    return [
        {
            "row": int(rows[i]),
            "times": int(times[i]),
            "cosine": float(cosines[first[i]]),
            "tier": int(tiers[first[i]]),
        }
        for i in best
    ]
