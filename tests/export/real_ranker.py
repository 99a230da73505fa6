"""Rankers with every option, their requests, vocabularies and catalog."""

from dataclasses import replace

import keras
import numpy as np

from tfmm.catalog import Catalog
from tfmm.ranking import RankingModel
from tfmm.records.spec import Feature
from tfmm.records.vocabularies import ItemTable, Vocabularies

CATEGORIES = Feature("category", "categorical", "item", 4)


def parts(toy):
    """Vocabularies of requests that have everything, and a catalog."""
    spec = replace(
        toy.SPEC,
        features=(*toy.SPEC.features, CATEGORIES),
        labels=("click", "order"),
        max_history=6,
        position=True,
        base_score=True,
    )
    items = ItemTable(
        np.array([0, 1, 2, 3, 4, 5, 6, 1], np.int32),
        np.array([[0], [1], [2], [3], [2], [3], [2], [0]], np.int32),
        np.zeros((spec.rows, 0), np.float32),
        np.ones(spec.rows, np.int64),
    )
    index = toy.index()
    values = {**toy.VALUES, "item_category": ["x", "y"]}
    vectors = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    catalog = Catalog.from_vectors(
        ["a", "b", "c", "f"], vectors, name="v", version="1", index=index
    )
    return Vocabularies(values, items, spec, index.stamp()), catalog


def request(toy):
    """The toy's requests, the first with a longer history than is kept."""
    given = toy.request()
    ids = np.full((2, 8), "", object)
    types = np.full((2, 8), "", object)
    ids[0], types[0] = list("fabcdeba"), ["click", "order"] * 4
    changed = {"history_item_id": ids, "history_type": types}
    score = np.array([[0.1, 0.5, 0.9], [0.3, np.nan, np.nan]], np.float32)
    count = np.array([8, 0], np.int32)
    return {**given, **changed, "n_history": count, "base_score": score}


def search(*interests, **options):
    return {"history_search": {"k": 3, "interests": list(interests), **options}}


OPTIONS = {
    "vector": {"interests": ["vector"]},
    "simscore": {"interests": ["simscore"]},
    "simtier": {"interests": ["din", {"simtier": {"tiers": 4}}]},
    "semantic_attention": {
        "interests": ["semantic_attention", {"semantic_attention": {"form": "muse"}}]
    },
    "search by cosine": {"interests": [search("simtier", "semantic_attention")]},
    "search by category": {
        "interests": [search("din", by="category", category="category")]
    },
    "search by id": {"interests": [search("din", by="id")]},
    "recent": {"interests": ["din", search("simtier")], "recent": 2},
    "cross": {"cross_layers": 2},
    "position": {"position": True},
    "offset": {"offset": "base_score"},
    "heads": {"labels": ["order", "click"]},
    "all": {
        "interests": ["din", "simtier", search("simtier", "semantic_attention")],
        "labels": ["click", "order"],
        "position": True,
        "offset": "base_score",
        "cross_layers": 1,
        "recent": 3,
    },
}


def ranker_of(parts, interests=("din",), **options):
    keras.utils.set_random_seed(1)
    return RankingModel(*parts, interests, hidden=(8, 4), **options)
