"""Input that somebody made: one class, ids beyond the tables, NaN, other vectors."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.ranking import MAKE, HistorySearchInterest, RankingModel


@pytest.fixture
def ranker(vocabularies, tables):
    model = RankingModel(vocabularies, tables, interests=["simtier"], embedding_dim=4)
    model.compile()
    return model


def fit(model, batch):
    data = tf.data.Dataset.from_tensors(batch)
    return model.fit(data, verbose=0).history


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_of_one_class_train_and_have_no_auc(ranker, batch, label):
    batch["label_click"][:] = label
    history = fit(ranker, batch)
    assert np.isfinite(history["loss"][0])
    assert history["auc"] == [0.0]  # Keras's answer where there is none.
    assert all(np.isfinite(weight).all() for weight in ranker.get_weights())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "beyond"), [("item", 14), ("history_item", 14), ("user", 9)]
)
def test_ids_beyond_the_tables_stop_a_fit_on_cpu(ranker, batch, key, beyond):
    batch[key][1:, ...] = beyond
    before = [np.copy(weight) for weight in ranker.get_weights()]
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{beyond} is not in"):
        fit(ranker, batch)
    for mine, theirs in zip(ranker.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("key", ["user_income", "candidate_price"])
def test_numbers_that_are_nan_count_as_the_mean(ranker, batch, key):
    batch[key][:] = np.nan
    empty = ranker.predict_on_batch(batch)
    assert np.isfinite(empty).all()
    assert np.isfinite(fit(ranker, batch)["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in ranker.get_weights())


@pytest.mark.slow
def test_infinite_numbers_are_bounded(ranker, batch):
    batch["candidate_price"][:] = np.inf
    high = ranker.predict_on_batch(batch)
    batch["candidate_price"][:] = 1e30
    np.testing.assert_array_equal(high, ranker.predict_on_batch(batch))
    assert np.isfinite(fit(ranker, batch)["loss"]).all()


def test_more_history_and_candidates_than_declared_score_alike(ranker, make_batch):
    """No weight depends on L or N: the spec's maxima bind records and servers."""
    batch = make_batch(history=9, items=7)  # The spec says 6 and 4.
    scores = ranker.predict_on_batch(batch)
    assert scores.shape == (5, 7)
    few = {
        name: value[:, :4] if name == "item" or name.startswith("candidate") else value
        for name, value in batch.items()
        if not name.startswith("label")
    }
    few["n_items"] = np.minimum(batch["n_items"], 4)
    np.testing.assert_allclose(ranker.predict_on_batch(few), scores[:, :4], atol=1e-6)


def test_vectors_of_another_encoder(vocabularies, tables):
    def catalog(fingerprint):
        return SimpleNamespace(modalities=tables, fingerprint=fingerprint)

    make = MAKE(catalog("old"), hidden=(4, 3))
    with pytest.raises(TfmmError, match=r"fingerprint old, the ranker's"):
        RankingModel(vocabularies, catalog("new"), interests=[make])
    with pytest.raises(TfmmError, match=r"fingerprint old, the ranker's"):
        RankingModel(vocabularies, catalog("new"), [HistorySearchInterest([make])])
    ranker = RankingModel(vocabularies, catalog("old"), interests=[make])
    assert ranker.fingerprint == "old"
