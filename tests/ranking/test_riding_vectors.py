"""Vectors that ride along give the scores of a catalog that holds them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.catalog.quantise import quantise
from tfmm.ranking import MAKE, RankingModel

ROWS = 14
DIMENSIONS = {"image": 8, "text": 4}
INTERESTS = (
    *("din", "vector", "simscore", "simtier", "semantic_attention"),
    {"history_search": {"k": 2}},
    {"history_search": {"k": 9, "modality": "text", "interests": ["vector"]}},
    {"history_search": {"k": 2, "by": "category", "category": "category"}},
)


def drawn(seed=0):
    random = np.random.default_rng(seed)
    found = {m: random.normal(size=(ROWS, d)) for m, d in DIMENSIONS.items()}
    for vectors in found.values():
        vectors[[0, 1, -1]] = 0
    return {m: vectors.astype("float32") for m, vectors in found.items()}


@pytest.fixture(scope="module")
def pair(vocabularies):
    """Rankers of one set of weights: one whose catalog is filled anew, one full."""
    found = []
    for _ in range(2):
        tables = {m: quantise(v) for m, v in drawn().items()}
        keras.utils.set_random_seed(5)
        interests = (*INTERESTS, MAKE(tables, hidden=(4, 4, 4, 4)))
        found.append(
            RankingModel(vocabularies, tables, interests, hidden=(8,), recent=4)
        )
    return found


def hide(ranker, rows):
    """Takes the vectors of some rows out of a ranker's tables."""
    for name, vectors in drawn().items():
        vectors[rows] = 0
        table = quantise(vectors)
        ranker.vectors[name].assign(table.codes, table.inverse_norm, table.present)


def riding(batch, rows):
    """The batch with all vectors for every request, those of some rows in use."""
    size = len(batch["item"])
    found = dict(batch)
    for name, vectors in drawn().items():
        found[f"new_{name}_vector"] = np.stack([vectors] * size)
    start = ROWS + ROWS * np.arange(size, dtype="int32")[:, None]
    for name in ("item", "history_item"):
        place = np.where(np.isin(batch[name], rows), start + batch[name], batch[name])
        found[name.removesuffix("_item") + "_vector"] = place
    return found


@pytest.mark.slow
def test_scores_are_those_of_a_full_catalog(pair, make_batch):
    bare, full = pair
    score, right = tf.function(bare), tf.function(full)
    for seed in range(20):
        random = np.random.default_rng(seed)
        rows = np.flatnonzero(random.random(ROWS - 1) < random.random())
        batch = make_batch(seed=seed)
        hide(bare, rows)
        valid = np.arange(4) < batch["n_items"][:, None]
        found, expected = score(riding(batch, rows)).numpy(), right(batch).numpy()
        np.testing.assert_allclose(found[valid], expected[valid], atol=1e-5)
    hide(bare, np.arange(ROWS))
    assert np.abs(score(batch).numpy() - expected)[valid].max() > 1e-3


def test_explanations_are_those_of_a_full_catalog(vocabularies, batch):
    tables = {m: quantise(v) for m, v in drawn().items()}
    bare = RankingModel(vocabularies, tables, ("simtier",), hidden=(4,))
    right = bare.explain(batch)
    hide(bare, rows := np.arange(2, 9))
    why = bare.explain(riding(batch, rows))
    for name, match in right.matches.items():
        assert (match.positions >= 0).any()
        for values, wanted in zip(why.matches[name], match, strict=True):
            np.testing.assert_array_equal(values, wanted)
    np.testing.assert_allclose(why.parts["simtier"], right.parts["simtier"], atol=1e-5)
    without = bare.explain(batch).matches["image"]
    assert (without.positions != right.matches["image"].positions).any()
