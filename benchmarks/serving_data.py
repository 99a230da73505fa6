"""A ranker of paper size and requests of one user with many candidates."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfmm
from tfmm.catalog.quantise import quantise
from tfmm.records.index import ItemIndex
from tfmm.records.spec import Feature, RequestSpec
from tfmm.records.vocabularies import ItemTable, Vocabularies

MODEL, DIMENSION, TYPES, CATEGORIES = "ranker", 128, ("click", "order"), 500
CLOSE = [{"simtier": {"scaling": "log1p_weighted"}}, {"semantic_attention": {}}]
INTERESTS = ["din", CLOSE[0], {"history_search": {"k": 50, "interests": CLOSE}}]
RECENT = 50


def export(
    base: Path, items: int, candidates: int, history: int, signatures: list[str]
) -> Path:
    """Exports an untrained ranker; scores cost the same whatever they are.

    Attention and SimTier see the newest 50 events, and the 50 of all that the search
    finds for each candidate.

    Args:
        base: The folder of all models.
        items: Items of the catalog, all with a vector of length 128.
        candidates: N of the requests.
        history: L of the requests.
        signatures: What to export besides `rank`.
    """
    keras.utils.set_random_seed(0)
    index = ItemIndex.create([f"p{n:08d}" for n in range(items)])
    vocabularies = _vocabularies(index, candidates, history)
    ranker = tfmm.RankingModel(
        vocabularies,
        {"scl": _vectors(index.rows)},
        interests=INTERESTS,
        hidden=(256, 128, 64),
        recent=RECENT,
    )
    return tfmm.export.export_ranker(
        ranker,
        base,
        index,
        vocabularies,
        request(items, candidates, history, users=2),
        signatures=signatures,
    )


def request(
    items: int, candidates: int, history: int, users: int = 1, seed: int = 0
) -> dict[str, np.ndarray]:
    """Tensors of `rank`: raw ids, few of them frequent as in a shop."""
    random = np.random.default_rng(seed)

    def ids(count: int) -> np.ndarray:
        places = np.minimum(random.zipf(1.2, (users, count)), items) - 1
        names = [f"p{place:08d}" for place in places.ravel()]
        return np.array(names, object).reshape(users, count)

    return {
        "user_key": np.zeros(users, np.int64),
        "context_hour": np.full(users, "8", object),
        "history_item_id": ids(history),
        "history_type": random.choice(np.array(TYPES, object), (users, history)),
        "n_history": np.full(users, history, np.int32),
        "item_id": ids(candidates),
        "n_items": np.full(users, candidates, np.int32),
    }


def flat(request: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The request as `rank_flat` takes it: all of the user again for each candidate."""
    candidates = request["item_id"].shape[1]
    user = {
        name: np.repeat(value, candidates, axis=0)
        for name, value in request.items()
        if name not in ("item_id", "n_items")
    }
    return {**user, "item_id": request["item_id"].ravel()}


def _vocabularies(index: ItemIndex, candidates: int, history: int) -> Vocabularies:
    rows = index.rows
    spec = RequestSpec(
        users=2,
        items=rows,
        rows=rows,
        features=(
            Feature("hour", "categorical", "context", 26),
            Feature("category", "categorical", "item", CATEGORIES),
        ),
        event_types=TYPES,
        labels=("click",),
        max_history=history,
        max_items=candidates,
    )
    table = ItemTable(
        embedding_row=np.arange(rows, dtype=np.int32),
        codes=np.random.default_rng(1).integers(2, CATEGORIES, (rows, 1), np.int32),
        numbers=np.zeros((rows, 0), np.float32),
        train_count=np.ones(rows, np.int64),
    )
    hours = [str(hour) for hour in range(24)]
    values = {"user": [], "context_hour": hours}
    return Vocabularies(values, table, spec, index.stamp())


def _vectors(rows: int) -> Any:
    codes = np.random.default_rng(2).integers(-127, 128, (rows, DIMENSION), np.int8)
    codes[:2] = 0
    return quantise(codes)
