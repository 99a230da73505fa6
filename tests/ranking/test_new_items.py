"""What SimTier is for: items that the ID embeddings have never seen."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.ranking import RankingModel, ranking_optimizer
from tfmm.records.spec import RequestSpec

STYLES, OLD, ROWS, LENGTH, ITEMS = 8, 202, 302, 10, 4


def _shop(rng):
    """Items of eight styles; those from row OLD on have no embedding of their own."""
    style = rng.integers(0, STYLES, ROWS)
    centers = rng.normal(size=[STYLES, 12])
    vectors = 40 * (centers[style] + 0.3 * rng.normal(size=[ROWS, 12]))
    codes = np.clip(np.round(vectors), -127, 127).astype("int8")
    codes[:2] = 0
    norms = np.maximum(np.linalg.norm(codes.astype("float64"), axis=1), 1)
    table = SimpleNamespace(
        codes=codes,
        inverse_norm=(codes.any(1) / norms).astype("float32"),
        present=codes.any(1),
    )
    rows = np.where(np.arange(ROWS) < OLD, np.arange(ROWS), 1).astype("int32")
    none = np.zeros([ROWS, 0])
    items = SimpleNamespace(embedding_row=rows, codes=none, numbers=none)
    spec = RequestSpec(3, OLD, ROWS, (), ("click",), ("click",), LENGTH, ITEMS)
    return style, table, SimpleNamespace(spec=spec, items=items)


def _requests(rng, style, low, high, size):
    """A user likes one style: clicks 70 % of its items and 10 % of the others."""
    taste = rng.integers(0, STYLES, [size, 1])

    def draw(first, last, count):
        rows = rng.integers(first, last, [size, 60])
        liked = rng.random([size, 60]) < 0.5
        order = np.argsort(~((style[rows] == taste) & liked), axis=1, kind="stable")
        rows = np.take_along_axis(rows, order, 1)[:, : 2 * count]
        return rng.permuted(rows, axis=1)[:, :count].astype("int32")

    item = draw(low, high, ITEMS)
    chance = np.where(style[item] == taste, 0.7, 0.1)
    return {
        "user": np.ones(size, "int32"),
        "history_item": draw(2, OLD, LENGTH),
        "history_type": np.full([size, LENGTH], 2, "int32"),
        "n_history": rng.integers(1, LENGTH + 1, size).astype("int32"),
        "item": item,
        "n_items": np.full(size, ITEMS, "int32"),
        "label_click": (rng.random(item.shape) < chance).astype("float32"),
    }


@pytest.mark.slow
def test_simtier_ranks_new_items_and_ids_cannot():
    rng = np.random.default_rng(0)
    style, table, vocabularies = _shop(rng)
    train = tf.data.Dataset.from_tensor_slices(_requests(rng, style, 2, OLD, 3000))
    test = tf.data.Dataset.from_tensor_slices(_requests(rng, style, OLD, ROWS, 400))
    auc = {}
    for interests in (("din",), ("din", "simtier")):
        keras.utils.set_random_seed(1)
        model = RankingModel(vocabularies, {"image": table}, interests)
        model.compile(ranking_optimizer(0.005))
        model.fit(train.batch(32), verbose=0)
        result = model.evaluate(test.batch(200), verbose=0, return_dict=True)
        auc[interests] = result["auc"]
    assert auc["din",] < 0.6
    assert auc["din", "simtier"] > auc["din",] + 0.1
