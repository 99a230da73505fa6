"""The ranker and the encoders of the package, exported and served."""

import keras
import numpy as np
import pytest

import tfmm
from tfmm.encoders import save_item_encoder
from tfmm.encoders.titles import SPECIAL
from tfmm.export import export_item_encoder, export_ranker
from tfmm.export.sample import picture
from tfmm.ranking import RankingModel
from tfmm.records.vocabularies import ItemTable, Vocabularies
from tfmm.serving import Client, Server


@pytest.fixture(scope="module")
def base(toy, tmp_path_factory):
    keras.utils.set_random_seed(0)
    base = tmp_path_factory.mktemp("models")
    vocabulary = [*SPECIAL, "red", "shirt", "a"]
    save_item_encoder(
        base.parent / "encoder",
        image=tfmm.encoders.image("micro", dimension=8, image_size=32),
        text=tfmm.encoders.text("micro", vocabulary=vocabulary, dimension=8),
    )
    export_item_encoder(base.parent / "encoder", base)
    return base


@pytest.fixture(scope="module")
def ranker(toy, base):
    rows = toy.SPEC.rows
    items = ItemTable(
        np.array([0, 1, 2, 3, 4, 5, 6, 1], np.int32),
        np.zeros((rows, 0), np.int32),
        np.zeros((rows, 0), np.float32),
        np.ones(rows, np.int64),
    )
    index = toy.index()
    vocabularies = Vocabularies(toy.VALUES, items, toy.SPEC, index.stamp())
    vectors = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    catalog = tfmm.Catalog.from_vectors(
        ["a", "b", "c", "f"], vectors, name="v", version="1", index=index
    )
    ranker = RankingModel(vocabularies, catalog, interests=["din", "simtier"])
    sample = {**toy.batch(), "user_key": np.array([22, 99], np.int64)}
    export_ranker(ranker, base, index, vocabularies, sample)
    return ranker


def test_both_are_served(toy, base, ranker):
    batch = toy.batch()
    labels = {"label_click": np.zeros((2, 3), np.float32)}
    logits = ranker.predict_on_batch({**batch, **labels})
    with Server(base, rest_api_port=0, grpc_port=0) as server:
        client = Client(server.url)
        answer = client.predict("ranker", toy.request(), "rank")
        expected = 1 / (1 + np.exp(-logits))
        np.testing.assert_allclose(answer["score"][0], expected[0], atol=1e-5)
        np.testing.assert_allclose(answer["score"][1, 0], expected[1, 0], atol=1e-5)
        assert answer["known"].tolist() == [[True, False, False], [False] * 3]
        item = {"image_bytes": [picture(), b""], "title": ["Red shirt", ""]}
        vectors = client.predict("item_encoder", item, "encode_item")
    assert vectors["has_image"].tolist() == [True, False]
    norms = np.linalg.norm(vectors["image_vector"], axis=1)
    np.testing.assert_allclose(norms, [1, 0], atol=1e-5)
    assert vectors["text_vector"].shape == (2, 8)
