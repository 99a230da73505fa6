"""Batches that somebody made: labels of one class, and ids beyond the tables."""

import numpy as np
import pytest
import tensorflow as tf

from tfmm.ranking import RankingModel


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
