"""Test requests kept as examples: scores, labels, and why they score so."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfmm.ranking import Explanation

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
        `{position, row, cosine, tier}`, best first).
    """
    batch = {name: np.asarray(value) for name, value in next(iter(requests)).items()}
    clicked = batch[f"label_{ranker.labels[0]}"].any(1)
    interest = batch["n_history"] * clicked + batch["n_items"]
    places = np.argsort(-interest, kind="stable")[:REQUESTS]
    chosen = {name: value[places] for name, value in batch.items()}
    why = ranker.explain(chosen, top=MATCHES)
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
            "matches": _matches(why, place, i),
        }
        for i in range(batch["n_items"][place])
    ]
    history = batch["history_item"][place, : batch["n_history"][place]]
    return {
        "user": f"{int(batch['user_key'][place]):016x}",
        "label": why.label,
        "history": history.tolist(),
        "items": items,
    }


def _matches(why: Explanation, place: int, item: int) -> dict[str, list[dict]]:
    fields = {"position": "positions", "row": "rows", "cosine": "cosines"}
    fields["tier"] = "tiers"
    return {
        modality: [
            {
                name: getattr(match, many)[place, item, i].item()
                for name, many in fields.items()
            }
            for i in np.flatnonzero(match.positions[place, item] >= 0)
        ]
        for modality, match in why.matches.items()
    }
