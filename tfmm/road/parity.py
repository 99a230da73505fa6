"""Whether the served model answers what the trained one did."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfmm.errors import TfmmError
from tfmm.export.border import to_request
from tfmm.export.c_api import run_as_server
from tfmm.export.inputs import score_names
from tfmm.export.warmup import Call
from tfmm.ranking.heads import by_label
from tfmm.records.index import ItemIndex
from tfmm.records.vocabularies import Vocabularies
from tfmm.serving import Client, ModelConfig, Server
from tfmm.serving.server import free_port

TOLERANCE = 1e-5
MODEL, SIGNATURE = "ranker", "rank"
REQUESTS = 1000


def compare(
    folder: Path,
    ranker: Any,
    index: ItemIndex,
    vocabularies: Vocabularies,
    batches: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """Serves the exported ranker on loopback and compares what it answers.

    Args:
        folder: The published version, `saved_models/ranker/VERSION`.
        ranker: The model that was exported.
        index: Its item index.
        vocabularies: Its vocabularies.
        batches: Real requests, batches of `tfmm.data.requests`; of these the first
            1,000 requests or a few more.

    Returns:
        Number of requests, largest difference between served and computed scores over
        each protocol, and as an example the first request and its ranking.

    Raises:
        TfmmError: If a score differs by more than 1e-5.
    """
    base = ranker.needs_base_score
    rows = list(_taken(batches))
    requests = [to_request(r, ranker.spec, index, vocabularies, base) for r in rows]
    answers = dict(_answers(folder, requests))
    computed = [_scores(ranker, batch) for batch in rows]
    found = {
        name: max(map(_difference, computed, rows, served))
        for name, served in answers.items()
    }
    for name, difference in found.items():
        if not difference <= TOLERANCE:
            raise TfmmError(
                f"The ranker served over {name} does not answer what the trained one "
                f"does. Expected: scores within {TOLERANCE}. Received: a difference of "
                f"{difference:.2e}. Export it again; if that does not help, please "
                "report it."
            )
    return {
        "model": MODEL,
        "version": int(folder.name),
        "signature": SIGNATURE,
        "requests": sum(len(batch["item"]) for batch in rows),
        "candidates": sum(int(batch["n_items"].sum()) for batch in rows),
        "largest_differences": found,
        "request": _first(requests[0]),
        "answer": _ranking(answers["REST"][0], int(rows[0]["n_items"][0])),
    }


def _taken(batches: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, np.ndarray]]:
    left = REQUESTS
    for batch in batches:
        if left <= 0:
            return
        left -= len(batch["item"])
        yield {name: np.asarray(value) for name, value in batch.items()}


def _answers(folder: Path, requests: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    version = int(folder.name)
    models = {MODEL: ModelConfig(MODEL, folder.parent, specific=(version,))}
    with Server(models, rest_api_port=0, grpc_port=free_port()) as server:
        urls = {"REST": server.url, "gRPC": f"grpc://127.0.0.1:{server.grpc_port}"}
        for name, url in urls.items():
            with Client(url) as client:
                yield (
                    name,
                    [client.predict(MODEL, r, SIGNATURE, version) for r in requests],
                )
    yield "the C API", run_as_server(folder, [Call(SIGNATURE, r) for r in requests])


def _scores(ranker: Any, batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
    logits = by_label(ranker, ranker.predict_on_batch(batch))
    return {
        name: 1 / (1 + np.exp(-np.asarray(values, np.float64)))
        for name, values in zip(score_names(logits), logits.values(), strict=True)
    }


def _difference(
    computed: Mapping[str, np.ndarray],
    batch: Mapping[str, Any],
    answer: Mapping[str, np.ndarray],
) -> float:
    valid = np.arange(batch["item"].shape[1]) < batch["n_items"][:, None]
    gaps = [np.abs(answer[name] - right)[valid] for name, right in computed.items()]
    return float(np.max(gaps, initial=0))


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
            "item_id": answer["item_id"][0].tolist()[place],
            "score": round(float(answer["score"][0, place]), 6),
            "known": bool(answer["known"][0, place]),
        }
        for place in order
    ]
