"""From a model and pair batches to the numbers in the logs."""

import warnings

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.pretrain.retrieval import (
    RetrievalAccuracy,
    embed_pairs,
    retrieval_accuracy,
)
from tfmm.pretrain.scl import SCL
from tfmm.pretrain.task import Task

WORDS = Task("text", "text")
CLICKED = Task("text", "text", "clicked")
# Catalog rows 2 to 5.
ITEMS = np.eye(4, dtype="float32")


class Model:
    """Query vectors as they stand in the batch; an item's is its row's axis."""

    def __init__(self, *tasks):
        self.tasks = tasks
        self.negatives = False

    def predict_on_batch(self, batch):
        self.negatives |= bool(np.any(batch["has_negative_text"]))
        found = {
            f"{task.name}_query": np.asarray(batch["vector"]) for task in self.tasks
        }
        return found | {"text_item": ITEMS[np.asarray(batch["item"]) - 2]}


def batch(items, vectors, **more):
    there = np.ones(len(items), bool)
    rows = {"item": np.array(items, "int32"), "vector": np.array(vectors, "float32")}
    for part in ("query", "item", "negative"):
        rows[f"has_{part}_text"] = there
    return rows | {name: np.array(value) for name, value in more.items()}


def test_distinct_items_over_all_batches():
    model = Model(WORDS)
    found = embed_pairs(
        model, [batch([4, 2], ITEMS[[2, 0]]), batch([2, 5], ITEMS[[1, 3]])]
    )["text"]
    assert found.candidate_items.tolist() == [2, 4, 5]
    np.testing.assert_array_equal(found.candidates, ITEMS[[0, 2, 3]])
    assert found.items.tolist() == [4, 2, 2, 5]
    # The third query is as far from all three items: mean rank 2.
    assert found.ranks[:, 0].tolist() == [1, 1, 2, 1]
    assert (found.accuracy(1), found.accuracy(2)) == (0.75, 1)
    assert not model.negatives


def test_groups_answer_for_each_other():
    vectors = [[0, 0.9, 0.1, 0], ITEMS[1]]
    alone = embed_pairs(Model(WORDS), [batch([2, 3], vectors)])["text"]
    assert alone.ranks[:, 0].tolist() == [2, 1]
    group = {"group": [2, 2]}
    both = embed_pairs(Model(WORDS), [batch([2, 3], vectors, **group)])["text"]
    assert both.ranks[:, 0].tolist() == [1, 1]


def test_further_positives_count_for_recall_and_absent_ones_are_left_out():
    vectors = [[0.3, 0.2, 0.9, 0.1], ITEMS[1], ITEMS[2]]
    positives = [[4, 9], [0, 0], [2, 0]]
    data = [batch([2, 3, 4], vectors, positives=positives)]
    found = embed_pairs(Model(WORDS), data)["text"]
    assert found.answers.tolist() == [[2, 4, -1], [3, -1, -1], [4, 2, -1]]
    # Of the first: own item second, the other answer first. Third: first, tie of two.
    np.testing.assert_array_equal(
        found.ranks, [[2, 1, np.nan], [1, np.nan, np.nan], [1, 2.5, np.nan]]
    )
    numbers = retrieval_accuracy(Model(WORDS), data, k=(1, 2))
    assert numbers["text_acc@1"] == 1
    assert numbers["text_recall@1"] == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert numbers["text_recall@2"] == pytest.approx((1 + 1 + 0.5) / 3)


def test_batches_of_other_widths_of_positives():
    data = [
        batch([2], ITEMS[:1], positives=[[3]]),
        batch([3], ITEMS[1:2], positives=np.zeros((1, 0), int)),
        batch([4], ITEMS[2:3], positives=[[2, 3]]),
    ]
    found = embed_pairs(Model(WORDS), data)["text"]
    assert found.positives.tolist() == [[3, 0], [0, 0], [2, 3]]


def test_a_task_takes_the_pairs_of_its_source():
    data = [batch([2, 3, 4], ITEMS[[0, 1, 2]], source=[0, 1, 1])]
    found = embed_pairs(Model(WORDS, CLICKED), data)
    assert found["text"].items.tolist() == [2]
    assert found["clicked_text"].items.tolist() == [3, 4]
    assert found["clicked_text"].candidate_items.tolist() == [3, 4]


def test_order_and_batches_never_matter():
    random = np.random.default_rng(3)
    items, vectors = random.integers(2, 6, 12), random.normal(size=(12, 4))
    whole = retrieval_accuracy(Model(WORDS), [batch(items, vectors)])
    order = random.permutation(12)
    parts = [batch(items[p], vectors[p]) for p in np.split(order, 4)]
    assert retrieval_accuracy(Model(WORDS), parts) == pytest.approx(whole)


def test_a_task_without_pairs_is_no_number():
    data = [batch([2], ITEMS[:1], source=[0])]
    found = retrieval_accuracy(Model(WORDS, CLICKED), data)
    assert found["text_acc@1"] == 1 and np.isnan(found["clicked_text_acc@1"])


def test_no_batch():
    with pytest.raises(TfmmError, match="no pair to measure"):
        embed_pairs(Model(WORDS), [])


def test_logs_and_a_warning_that_teaches():
    def logs_of(vectors, items):
        callback = RetrievalAccuracy([batch(items, vectors)], k=(1,))
        callback.set_model(Model(WORDS))
        callback.on_epoch_end(0, logs := {})
        return logs

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logs = logs_of(ITEMS, [2, 3, 4, 5])
    assert set(logs) == {
        "val_text_acc@1", "val_text_std", "val_text_uniformity", "val_text_distinct"
    }  # fmt: skip
    assert logs["val_text_acc@1"] == logs["val_text_distinct"] == 1
    one = np.full((4, 4), 0.5)
    with pytest.warns(UserWarning, match="'text' has collapsed.*learning rate"):
        assert logs_of(one, [2, 3, 4, 5])["val_text_acc@1"] == 0


def test_a_real_model_with_a_planted_collapse(make_encoder, make_batch):
    encoder = make_encoder("image")
    model = SCL(image=encoder, bank_size=0)
    model.compile()
    data = [make_batch(range(2, 12))]
    healthy = retrieval_accuracy(model, data)
    assert healthy["image_std"] > 0.07
    kernel = encoder.tower.layers[-2]
    kernel.set_weights([np.zeros_like(kernel.kernel), np.ones(4, "float32")])
    callback = RetrievalAccuracy(data)
    callback.set_model(model)
    with pytest.warns(UserWarning, match="collapsed"):
        callback.on_epoch_end(0, logs := {})
    # All ten tie: mean rank 5.5; one item answers everything.
    assert (logs["val_image_acc@1"], logs["val_image_acc@5"]) == (0, 0)
    assert logs["val_image_std"] == pytest.approx(0, abs=1e-4)
    assert logs["val_image_distinct"] == 0.1


def test_only_in_the_epochs_that_are_validated():
    def epochs(every):
        callback = RetrievalAccuracy([batch([2, 3], ITEMS[:2])], every=every)
        callback.set_model(Model(WORDS))
        logs = [{} for _ in range(4)]
        for epoch, log in enumerate(logs):
            callback.on_epoch_end(epoch, log)
        return [epoch for epoch, log in enumerate(logs, 1) if log]

    assert epochs(1) == [1, 2, 3, 4]
    assert epochs(2) == [2, 4]
    assert epochs([1, 4]) == [1, 4]
