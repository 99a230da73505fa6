"""Whether the served model answers what the trained one did."""

from pathlib import Path
from typing import Any

import numpy as np

from tfmm.errors import TfmmError
from tfmm.export.border import to_request
from tfmm.export.inputs import score_names
from tfmm.ranking.heads import by_label
from tfmm.records.index import ItemIndex
from tfmm.records.vocabularies import Vocabularies
from tfmm.serving import Client, ModelConfig, Server

TOLERANCE = 1e-5
MODEL = "ranker"


def compare(
    folder: Path,
    ranker: Any,
    index: ItemIndex,
    vocabularies: Vocabularies,
    batch: dict[str, Any],
) -> dict[str, Any]:
    """Serves the exported ranker on loopback and compares its answers over REST.

    Args:
        folder: The published version, `saved_models/ranker/VERSION`.
        ranker: The model that was exported.
        index: Its item index.
        vocabularies: Its vocabularies.
        batch: Real requests, a batch of `tfmm.data.requests`.

    Returns:
        Number of requests, largest difference between served and computed scores, and
        as an example the first request and its ranking.

    Raises:
        TfmmError: If a score differs by more than 1e-5.
    """
    rows = {name: np.asarray(value) for name, value in batch.items()}
    base = ranker.needs_base_score
    request = to_request(rows, ranker.spec, index, vocabularies, base)
    version = int(folder.name)
    models = {MODEL: ModelConfig(MODEL, folder.parent, specific=(version,))}
    with Server(models, rest_api_port=0, grpc_port=0) as server:
        answer = Client(server.url).predict(MODEL, request, "rank", version)
    logits = by_label(ranker, ranker.predict_on_batch(rows))
    shape = rows["item"].shape
    valid = np.arange(shape[1]) < rows["n_items"][:, None]
    differences = []
    for name, values in zip(score_names(logits), logits.values(), strict=True):
        computed = 1 / (1 + np.exp(-np.asarray(values, np.float64)))
        differences.append(np.abs(answer[name] - computed)[valid].max())
    difference = float(np.max(differences))
    if not difference <= TOLERANCE:
        raise TfmmError(
            "The served ranker does not answer what the trained one does. Expected: "
            f"scores within {TOLERANCE}. Received: a difference of {difference:.2e}. "
            "Export it again; if that does not help, please report it."
        )
    return {
        "model": MODEL,
        "version": version,
        "signature": "rank",
        "requests": shape[0],
        "candidates": int(valid.sum()),
        "largest_difference": difference,
        "request": _first(request),
        "answer": _ranking(answer, int(rows["n_items"][0])),
    }


def _first(request: dict[str, np.ndarray]) -> dict[str, Any]:
    """The first request without its padding, as JSON takes it."""
    found = {}
    for name, values in request.items():
        kept = values[:1]
        if values.ndim == 2:
            count = "n_history" if name.startswith("history_") else "n_items"
            kept = kept[:, : int(request[count][0])]
        found[name] = kept.tolist()
    return found


def _ranking(answer: dict[str, np.ndarray], count: int) -> list[dict[str, Any]]:
    """The first request's candidates, best first."""
    order = np.argsort(-answer["score"][0, :count], kind="stable")
    return [
        {
            "item_id": answer["item_id"][0, place].item(),
            "score": round(float(answer["score"][0, place]), 6),
            "known": bool(answer["known"][0, place]),
        }
        for place in order
    ]
