import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.ranking import RankingModel, masked_mean_loss, ranking_task


def test_loss_is_the_hand_computed_masked_mean():
    labels = np.array([[1.0, 0.0, 9.0]], "float32")
    logits = np.array([[0.0, np.log(3.0), np.nan]], "float32")
    mask = np.array([[True, True, False]])
    # -log sigma(0) = log 2; -log(1 - sigma(log 3)) = -log(1/4) = log 4
    loss = masked_mean_loss(ranking_task(), labels, logits, mask)
    assert float(loss) == pytest.approx((np.log(2) + np.log(4)) / 2, rel=1e-6)


def test_padding_does_not_dilute_the_loss():
    task = ranking_task()
    labels = np.array([[1.0, 0.0]], "float32")
    logits = np.array([[0.3, -0.8]], "float32")
    short = masked_mean_loss(task, labels, logits, np.ones([1, 2], bool))
    wider = [np.pad(x, [(0, 0), (0, 30)]) for x in (labels, logits)]
    long = masked_mean_loss(task, *wider, np.arange(32)[None] < 2)
    assert float(long) == pytest.approx(float(short), rel=1e-6)


def test_a_weight_counts_a_candidate_several_times():
    labels, logits = np.array([[1.0, 0.0, 9.0]]), np.array([[2.0, 0.5, 7.0]])
    mask, weight = np.array([[True, True, False]]), np.array([[1.0, 3.0, np.nan]])
    loss = masked_mean_loss(ranking_task(), labels, logits, mask, weight)
    # -log(sigmoid(2)) = 0.126928, -log(1 - sigmoid(0.5)) = 0.974077 three times.
    assert float(loss) == pytest.approx((0.126928 + 3 * 0.974077) / 4, abs=1e-5)


def test_nothing_valid_is_a_loss_of_zero():
    ones = np.ones([1, 2], "float32")
    loss = masked_mean_loss(ranking_task(), ones, ones, np.zeros([1, 2], bool))
    assert float(loss) == 0.0


def test_the_guard_is_answered_only_while_importing():
    ranking_task()
    assert tf.keras.version().startswith("3.")
    assert isinstance(ranking_task(), keras.layers.Layer)


def test_wrong_labels_losses_and_keys_are_taught(vocabularies, tables, batch):
    ranker = RankingModel(vocabularies, tables)
    with pytest.raises(TfmmError, match=r"model's task\. Received: loss='mse'"):
        ranker.compile(loss="mse")
    with pytest.raises(TfmmError, match=r"labels=\('click',\), batch with no labels"):
        ranker.label_keys({"item": 0})
    del batch["context_hour"], batch["item"]
    with pytest.raises(TfmmError, match="the ranker reads: item, context_hour"):
        ranker(batch)
