import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.objective import Bank, Objective, share_of_mean
from tfmm.pretrain.pair_batch import negative_rows, present, task_rows
from tfmm.pretrain.task import Task

TASK = Task("text", "text")


def unit(*rows):
    rows = np.array(rows, "float32")
    return tf.constant(rows / np.linalg.norm(rows, axis=1, keepdims=True))


QUERY = unit([1, 0], [0, 1], [1, 1])
ITEM = unit([1, 0.2], [0.1, 1], [-1, 0])


def batch_of(items, **more):
    batch = {"item": items, "negative": [0] * len(items), **more}
    batch = {name: tf.constant(value) for name, value in batch.items()}
    for part in ("query", "item", "negative"):
        batch[f"has_{part}_text"] = tf.fill([len(items)], part != "negative")
    return batch


def losses(batch, bank=None, query=QUERY, **settings):
    settings = {"triplet_weight": 0.0} | settings
    vectors = {"text_query": query, "text_item": ITEM, "text_negative": ITEM}
    objective = Objective(**settings)
    return objective.losses(TASK, [TASK], batch, vectors, 0.5, bank).numpy()


def nce(scores, positives, negatives):
    """The mean over the positives of -log(e^p / (e^p + sum of e^n))."""
    scores = np.exp(scores)
    total = scores[negatives].sum()
    return np.mean([-np.log(scores[p] / (scores[p] + total)) for p in positives])


def test_group_mates_are_no_negatives_and_further_positives_are_positives():
    # Items 2 and 3 are duplicates (group 2); the query of item 4 was answered by
    # group 2 too.
    positives = [[0], [0], [2]]
    batch = batch_of([2, 3, 4], group=[2, 2, 4], positives=positives)
    scores = QUERY.numpy() @ ITEM.numpy().T / 0.5
    expected = [
        nce(scores[0], [0], [2]),
        nce(scores[1], [1], [2]),
        nce(scores[2], [2, 0, 1], []),
    ]
    np.testing.assert_allclose(losses(batch), expected, rtol=1e-5)


@pytest.mark.parametrize("bank_positive", ["live", "momentum"])
def test_bank_keys_that_answer_the_query_are_no_negatives(bank_positive):
    keys = unit([1, 1], [1, -1], [0, -1], [1, 3])
    batch = batch_of([2, 3, 4], group=[2, 2, 4], positives=[[0], [9], [0]])
    copies = unit([1, 0.5], [0.3, 1], [-1, 0.1])
    bank = Bank(keys, tf.constant([2, 9, 7, 0]), copies)
    found = losses(batch, bank, bank_positive=bank_positive)
    near = QUERY.numpy() @ ITEM.numpy().T / 0.5
    scores = np.concatenate([near, QUERY.numpy() @ keys.numpy().T / 0.5], axis=1)
    # Of the slots 3 to 6 the last is empty; 3 is the group's, 4 answers query 1.
    if bank_positive == "live":
        expected = [
            nce(scores[0], [0], [2, 4, 5]),
            nce(scores[1], [1], [2, 5]),
            nce(scores[2], [2], [0, 1, 3, 4, 5]),
        ]
    else:
        own = np.sum(QUERY.numpy() * copies.numpy(), axis=1, keepdims=True) / 0.5
        scores = np.concatenate([scores, own], axis=1)
        expected = [
            nce(scores[0], [0], [2]) + nce(scores[0], [7], [4, 5]),
            nce(scores[1], [1], [2]) + nce(scores[1], [7], [5]),
            nce(scores[2], [2], [0, 1]) + nce(scores[2], [7], [3, 4, 5]),
        ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_symmetric_is_the_mean_of_both_directions():
    batch = batch_of([2, 3, 4], group=[2, 2, 4], positives=[[4], [0], [0]])
    scores = QUERY.numpy() @ ITEM.numpy().T / 0.5
    forward = [
        nce(scores[0], [0, 2], []),
        nce(scores[1], [1], [2]),
        nce(scores[2], [2], [0, 1]),
    ]
    # Item 4 answers query 0 as well, and items of group 2 have two equal askers.
    back = scores.T
    backward = [
        nce(back[0], [0], [2]),
        nce(back[1], [1], [2]),
        nce(back[2], [2, 0], [1]),
    ]
    expected = (np.array(forward) + backward) / 2
    np.testing.assert_allclose(losses(batch, symmetric=True), expected, rtol=1e-5)


def test_symmetric_leaves_the_banks_term_alone():
    batch = batch_of([2, 3, 4])
    bank = Bank(unit([1, 1], [1, -1]), tf.constant([8, 9]), ITEM)
    added = losses(batch, bank) - losses(batch)
    both = losses(batch, bank, symmetric=True) - losses(batch, symmetric=True)
    np.testing.assert_allclose(both, added, rtol=1e-5)


def test_an_item_is_no_negative_of_the_query_that_it_is_itself():
    # Query 1 is item 2: neither direction may push the two apart.
    batch = batch_of([2, 3, 4], query_group=[9, 2, 9])
    scores = QUERY.numpy() @ ITEM.numpy().T / 0.5
    forward = [
        nce(scores[0], [0], [1, 2]),
        nce(scores[1], [1], [2]),
        nce(scores[2], [2], [0, 1]),
    ]
    back = scores.T
    backward = [
        nce(back[0], [0], [2]),
        nce(back[1], [1], [0, 2]),
        nce(back[2], [2], [0, 1]),
    ]
    expected = (np.array(forward) + backward) / 2
    np.testing.assert_allclose(losses(batch, symmetric=True), expected, rtol=1e-5)


def test_absent_queries_and_items_are_nobodys_negatives():
    batch = batch_of([2, 3, 4])
    batch["has_query_text"] = tf.constant([True, True, False])
    scores = QUERY.numpy() @ ITEM.numpy().T / 0.5
    forward = [nce(scores[0], [0], [1]), nce(scores[1], [1], [0])]
    backward = [nce(scores.T[0], [0], [1]), nce(scores.T[1], [1], [0])]
    expected = (np.array(forward) + backward) / 2
    found = losses(batch, symmetric=True)
    np.testing.assert_allclose(found[:2], expected, rtol=1e-5)


def test_chunks_change_nothing():
    batch = batch_of([2, 3, 4], group=[2, 2, 4], positives=[[4], [0], [0]])
    bank = Bank(unit([1, 1], [1, -1], [0, -1]), tf.constant([2, 9, 7]), ITEM)
    for symmetric in (False, True):
        whole = losses(batch, bank, symmetric=symmetric)
        parts = losses(batch, bank, symmetric=symmetric, chunk_size=2)
        np.testing.assert_allclose(parts, whole, rtol=1e-5)


def test_hard_negatives_that_answer_the_query_are_none():
    # An equivalent of the item, a further positive, a true one, none at all.
    batch = batch_of(
        [2, 3, 4, 5], negative_group=[2, 8, 9, 0], positives=[[0], [8], [0], [0]]
    ) | {"has_negative_text": tf.constant([True, True, True, False])}
    batch["group"] = tf.constant([2, 3, 4, 5])
    found = negative_rows([TASK], "text", batch).numpy().tolist()
    assert found == [False, False, True, False]


def test_sources_choose_rows():
    batch = batch_of([2, 3, 4], source=[0, 1, 2])
    for place, source in enumerate(("search", "clicked", "item")):
        rows = task_rows(Task("text", "text", source), batch).numpy().tolist()
        assert rows == [place == row for row in range(3)]


def test_a_fused_vector_needs_one_part():
    batch = {
        "has_query_image": tf.constant([False, True]),
        "has_query_text": tf.constant([False, False]),
    }
    assert present("query", "fused", batch).numpy().tolist() == [False, True]


def test_mean_of_no_rows_is_zero():
    nothing = tf.constant([False, False])
    assert float(share_of_mean(tf.constant([1.0, 2.0]), nothing)) == 0.0


def test_settings_are_checked():
    with pytest.raises(TfmmError, match="chunk_size=0"):
        Objective(chunk_size=0)
    with pytest.raises(TfmmError, match="'momentum' or 'live'"):
        Objective(bank_positive="dead")
